"""Verifiers of passwords: argon2id, 19 MiB, two passes (OWASP's choice), made once a password and known again for ever.

- A slow hash makes up for what people choose. A password of 100 random bits, which the operator generated, cannot be
  guessed however fast its hash is: it gets the smallest argon2id, a thousandth of the cost. Pods make a wrong guess at
  one cost as much as at any other.
- The salt of a hash is an HMAC, under a key that only the operator has, of the Mailbox and the password. So the
  published verifier itself tells whether it is this password's: nothing else is kept, a restart hashes nothing that is
  published, and hashing again gives the same text, byte for byte.
- To everyone without the key the salt is random, and no two Mailboxes share one. Whoever has the key can try passwords
  by HMAC instead of argon2: it is the directory's signing key, whose holder admits himself to every mailbox anyway.
- A published verifier is believed only as the directory gives it: signed.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from argon2.low_level import Type, hash_secret

from mailpod.opaque import opaque_string


@dataclass(frozen=True, slots=True)
class _Cost:
    passes: int
    kib: int

    @property
    def prefix(self) -> str:
        return f"$argon2id$v=19$m={self.kib},t={self.passes},p=1$"


_CHOSEN: Final = _Cost(2, 19 * 1024)
_RANDOM: Final = _Cost(1, 64)
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
_PURPOSE: Final = b"mailpod password salt v1"
_PROOF_PURPOSE: Final = b"mailpod generated password v1"


class Hasher:
    """Makes verifiers in `threads` threads; about 20 ms of CPU and 19 MiB each while it runs."""

    def __init__(self, signing_key: bytes, *, threads: int = 2, remembered: int = 20_000) -> None:
        self._key = hmac.digest(signing_key, _PURPOSE, "sha256")
        self._proof_key = hmac.digest(signing_key, _PROOF_PURPOSE, "sha256")
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._making: dict[bytes, asyncio.Task[str]] = {}
        self._known: OrderedDict[bytes, str] = OrderedDict()  # verifiers by salt, about 300 bytes each
        self._remembered = remembered
        self.hashed = 0
        """Hashes made since the start."""

    async def verifier(
        self, owner: str, password: str, published: Callable[[], Awaitable[Sequence[str]]], *, random: bool = False
    ) -> str:
        """The verifier of a Mailbox's password (as OpaqueString): the published one, where it is of this password.

        `owner` is what stays the same for the Mailbox and is no other's: its UID. `published` is asked once for each
        password that this process has not seen. `random` says that the password has 100 random bits.
        """
        password = opaque_string(password)
        if random:
            return self._quick(owner, password)
        salt = self._salt(owner, password, _CHOSEN)
        if salt in self._known:
            self._known.move_to_end(salt)
            return self._known[salt]
        task = self._making.get(salt)
        if task is None:
            task = self._making[salt] = asyncio.create_task(self._find(password, salt, published))
            task.add_done_callback(lambda _: self._making.pop(salt, None))
        return await asyncio.shield(task)

    def proof(self, owner: str, password: str) -> str:
        """What tells a password that was generated for a Mailbox from one that a person put in its place."""
        return hmac.digest(self._proof_key, f"{owner}\0{password}".encode(), "sha256").hex()

    def _quick(self, owner: str, password: str) -> str:
        """In this thread, and not remembered: 0.1 ms."""
        return _hash(password, self._salt(owner, password, _RANDOM), _RANDOM)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _find(self, password: str, salt: bytes, published: Callable[[], Awaitable[Sequence[str]]]) -> str:
        found = next((known for known in await published() if salt_of(known) == salt), None)
        if found is None:
            found = await asyncio.get_running_loop().run_in_executor(self._pool, _hash, password, salt, _CHOSEN)
            self.hashed += 1
        self._known[salt] = found
        while len(self._known) > self._remembered:
            self._known.popitem(last=False)
        return found

    def _salt(self, owner: str, password: str, cost: _Cost) -> bytes:
        # the parameters are in it, so that other ones make another hash
        return hmac.digest(self._key, "\0".join((cost.prefix, owner, password)).encode(), "sha256")[:_SALT_BYTES]


def salt_of(verifier: str) -> bytes | None:
    """The salt of a hash with today's parameters for chosen passwords, None for any other text."""
    if not verifier.startswith(_CHOSEN.prefix):
        return None
    salt, _, digest = verifier.removeprefix(_CHOSEN.prefix).partition("$")
    try:
        raw = base64.b64decode(salt + "=" * (-len(salt) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if digest else None


def _hash(password: str, salt: bytes, cost: _Cost) -> str:
    return hash_secret(password.encode(), salt, cost.passes, cost.kib, 1, _HASH_BYTES, Type.ID, version=19).decode()
