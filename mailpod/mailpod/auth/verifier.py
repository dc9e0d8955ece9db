"""Passwords: argon2id in a bounded pool of threads, remembered afterwards as an HMAC.

- What is remembered is keyed with the stored hash, so a new password makes the old memory useless by itself.
- Only right passwords are remembered: a guess always costs argon2, and memory is no oracle.
- A user that does not exist costs one argon2 too, at the cost of a hash of a password that a person chose; and so does
  a wrong guess at a password that was generated, whose own hash is quick.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import argon2

from mailpod import metrics
from mailpod.clock import Clock
from mailpod.errors import Busy
from mailpod.opaque import opaque_string

_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class Verifier:
    """Checks a password against argon2id PHC strings."""

    def __init__(self, clock: Clock, *, threads: int, queue: int, entries: int, seconds: float) -> None:
        self._clock = clock
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._queue = queue
        self._waiting = 0
        self._entries = entries
        self._seconds = seconds
        self._secret = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, float] = OrderedDict()
        self._dummy = _HASHER.hash(secrets.token_hex(16))

    async def verify(self, verifiers: Sequence[str], password: str) -> bool:
        """Whether the password is one of the verifiers'. Without verifiers: takes as long, and is False.

        As RFC 8265's OpaqueString, and, where that is another, also as it was sent: a person's own hash may be of that.
        Raises Busy when too many others wait for a thread.
        """
        for form in dict.fromkeys((opaque_string(password), password)):
            if await self._verify(verifiers, form.encode("utf-8", "surrogatepass")):
                return True
        return False

    async def _verify(self, verifiers: Sequence[str], secret: bytes) -> bool:
        now = self._clock.elapsed()
        for verifier in verifiers:
            if self._remembered(self._tag(verifier, secret), now):
                metrics.PASSWORD_CHECKS.labels("cached").inc()
                return True
        for verifier in verifiers:
            if await self._in_thread(verifier, secret):
                self._remember(self._tag(verifier, secret), now)
                return True
        if not any(map(_is_slow, verifiers)):
            await self._in_thread(self._dummy, secret)
        return False

    def close(self) -> None:
        """Stop the threads; running checks are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, verifier: str, secret: bytes) -> bool:
        if self._waiting >= self._queue:
            raise Busy("Too many log-ins at once, try again later")
        self._waiting += 1
        metrics.PASSWORD_CHECKS.labels("argon2").inc()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, _matches, verifier, secret)
        finally:
            self._waiting -= 1

    def _tag(self, verifier: str, secret: bytes) -> bytes:
        return hmac.digest(self._secret, verifier.encode() + b"\0" + secret, "sha256")

    def _remembered(self, tag: bytes, now: float) -> bool:
        until = self._known.get(tag)
        if until is None or until < now:
            self._known.pop(tag, None)
            return False
        self._known.move_to_end(tag)
        return True

    def _remember(self, tag: bytes, now: float) -> None:
        self._known[tag] = now + self._seconds
        while len(self._known) > self._entries:
            self._known.popitem(last=False)


def _is_slow(verifier: str) -> bool:
    """Whether a guess at it takes about as long as one at the dummy, or longer."""
    try:
        cost = argon2.extract_parameters(verifier)
    except argon2.exceptions.InvalidHashError:
        return False
    return 2 * cost.memory_cost * cost.time_cost >= _HASHER.memory_cost * _HASHER.time_cost


def _matches(verifier: str, secret: bytes) -> bool:
    """A verifier that is not argon2id matches nothing."""
    try:
        return verifier.startswith("$argon2id$") and _HASHER.verify(verifier, secret)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False
