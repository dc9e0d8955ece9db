"""Verifiers of passwords: argon2id, 19 MiB, two passes (OWASP's choice), made once a password and known again for ever.

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
from typing import Final

from argon2.low_level import Type, hash_secret

_TIME_COST: Final = 2
_MEMORY_KIB: Final = 19 * 1024
_PARALLELISM: Final = 1
_PREFIX: Final = f"$argon2id$v=19$m={_MEMORY_KIB},t={_TIME_COST},p={_PARALLELISM}$"
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
_PURPOSE: Final = b"mailpod password salt v1"


class Hasher:
    """Makes verifiers in `threads` threads; about 20 ms of CPU and 19 MiB each while it runs."""

    def __init__(self, signing_key: bytes, *, threads: int = 2, remembered: int = 20_000) -> None:
        self._key = hmac.digest(signing_key, _PURPOSE, "sha256")
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._making: dict[bytes, asyncio.Task[str]] = {}
        self._known: OrderedDict[bytes, str] = OrderedDict()  # verifiers by salt, about 300 bytes each
        self._remembered = remembered
        self.hashed = 0
        """Hashes made since the start."""

    async def verifier(self, owner: str, password: str, published: Callable[[], Awaitable[Sequence[str]]]) -> str:
        """The verifier of a Mailbox's password: the published one, where it is of this password.

        `owner` is what stays the same for the Mailbox and is no other's: its UID. `published` is asked once for each
        password that this process has not seen.
        """
        salt = self._salt(owner, password)
        if salt in self._known:
            self._known.move_to_end(salt)
            return self._known[salt]
        task = self._making.get(salt)
        if task is None:
            task = self._making[salt] = asyncio.create_task(self._find(password, salt, published))
            task.add_done_callback(lambda _: self._making.pop(salt, None))
        return await asyncio.shield(task)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _find(self, password: str, salt: bytes, published: Callable[[], Awaitable[Sequence[str]]]) -> str:
        found = next((known for known in await published() if salt_of(known) == salt), None)
        if found is None:
            found = await asyncio.get_running_loop().run_in_executor(self._pool, _hash, password, salt)
            self.hashed += 1
        self._known[salt] = found
        while len(self._known) > self._remembered:
            self._known.popitem(last=False)
        return found

    def _salt(self, owner: str, password: str) -> bytes:
        # the parameters are in it, so that other ones make another hash
        return hmac.digest(self._key, "\0".join((_PREFIX, owner, password)).encode(), "sha256")[:_SALT_BYTES]


def salt_of(verifier: str) -> bytes | None:
    """The salt of a hash with today's parameters, None for any other text."""
    if not verifier.startswith(_PREFIX):
        return None
    salt, _, digest = verifier.removeprefix(_PREFIX).partition("$")
    try:
        raw = base64.b64decode(salt + "=" * (-len(salt) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if digest else None


def _hash(password: str, salt: bytes) -> str:
    return hash_secret(
        password.encode(), salt, _TIME_COST, _MEMORY_KIB, _PARALLELISM, _HASH_BYTES, Type.ID, version=19
    ).decode()
