"""Incarnations: which of an address's accounts is the one in use (STORE.md rules 14 and 15).

`incarnation/<n>` is created if absent and never changed or deleted; the highest n is in use, so two publishers that
race agree after one LIST. It is one line of JSON, `{"id": <random>, "floor": <UIDVALIDITY>}`, and not signed: it admits
nobody, and a lost signing key must not take the mail with it.

Where the highest is *absent* (`"absent": true`) the address has no account: n-1 was closed, and `floor` is its last
UIDVALIDITY. Its id names no account, ever, so a reader that does not know the field finds none and answers 451.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

import msgspec

from mailpod.store.names import account_prefix, incarnation_key, incarnation_prefix
from mailpod.store.objects import AlreadyExists, Ambiguous, ObjectStore, StorageError

_ATTEMPTS: Final = 4


@dataclass(frozen=True, slots=True)
class AccountRef:
    """An account in the bucket: domain (A-label), local part (normalised) and the incarnation's random id."""

    domain: str
    local: str
    incarnation: str

    @property
    def prefix(self) -> str:
        return account_prefix(self.domain, self.local, self.incarnation)


@dataclass(frozen=True, slots=True)
class Incarnation:
    """The object `incarnation/<number>`; every UIDVALIDITY of the account, and of later ones, is above `floor`."""

    number: int
    id: str
    floor: int = 0
    absent: bool = False


class _Stored(msgspec.Struct, omit_defaults=True):
    id: str
    floor: int
    absent: bool = False


async def latest(objects: ObjectStore, domain: str, local: str) -> Incarnation | None:
    """The incarnation in use; None if the address never had an account. Raises StorageError."""
    found = await objects.list(incarnation_prefix(domain, local))
    return await read(objects, found[-1].key) if found else None


async def read(objects: ObjectStore, key: str) -> Incarnation:
    """The incarnation at `key`. Raises StorageError, also where it cannot be read."""
    return parse(key, await objects.get(key))


def parse(key: str, data: bytes) -> Incarnation:
    """The incarnation that the object at `key` holds. Raises StorageError."""
    try:
        stored = msgspec.json.decode(data, type=_Stored)
        return Incarnation(int(key.rpartition("/")[2]), stored.id, stored.floor, stored.absent)
    except ValueError as error:  # msgspec's are ValueErrors
        raise StorageError(f"{key}: {error}") from None


class InUse:
    """Whether an account's incarnation is the highest: a purge begins one GRACE after a higher one was created, so what
    was read before this said yes was not erased, whatever has landed late since. One LIST, and once a GET."""

    def __init__(self, objects: ObjectStore, ref: AccountRef) -> None:
        self._objects = objects
        self._ref = ref
        self._ours = ""  # the key of our incarnation, once it is known

    async def check(self) -> bool:
        """Raises StorageError."""
        found = await self._objects.list(incarnation_prefix(self._ref.domain, self._ref.local))
        if not found:
            return False
        if not self._ours and (await read(self._objects, found[-1].key)).id == self._ref.incarnation:
            self._ours = found[-1].key
        return found[-1].key == self._ours


async def in_use(objects: ObjectStore, domain: str, local: str, *, rng: random.Random) -> Incarnation:
    """The incarnation in use, made where there is none: number 1, or the one after an absent one.

    Raises StorageError, Ambiguous.
    """
    identifier = rng.randbytes(16).hex()
    for attempt in range(_ATTEMPTS):
        found = await latest(objects, domain, local)
        if found is not None and not found.absent:
            return found
        made = Incarnation(found.number + 1, identifier, found.floor) if found else Incarnation(1, identifier)
        try:
            await create(objects, domain, local, made)
        except AlreadyExists:
            continue
        except Ambiguous:  # the same bytes are sent again, so a late landing of these changes nothing
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            return made
    raise StorageError(f"{incarnation_prefix(domain, local)}: what is listed and what can be created disagree")


def encode(made: Incarnation) -> bytes:
    """The object that holds it."""
    return msgspec.json.encode(_Stored(made.id, made.floor, made.absent)) + b"\n"


async def create(objects: ObjectStore, domain: str, local: str, made: Incarnation) -> None:
    """Create `incarnation/<n>`. Raises AlreadyExists, Ambiguous, StorageError."""
    await objects.create(incarnation_key(domain, local, made.number), [encode(made)])
