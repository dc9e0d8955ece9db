"""Whose mailboxes an account might see: hints in the bucket, so that nobody looks through every account.

- A hint is `shares/<domain>/<sharee, or !anyone>/<owner>/<random id>`, and says: look into that owner's log. The log is
  the truth; a hint without a grant shows nothing.
- It is written before the commit that grants: a crash between them leaves a hint that is not needed.
- One that is not needed goes once it is older than GRACE in bucket time, so that no commit that it was written for can
  still come; of two of one pair the older goes at once, since the younger was written later. Names are used once.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from ..errors import Unavailable
from .buckettime import BucketClock
from .names import encode_local_part
from .objects import AlreadyExists, Ambiguous, StorageError

if TYPE_CHECKING:
    from .store import Store

SHARES_PREFIX: Final = "shares/"
EVERYBODY: Final = "!anyone"  # `!` cannot occur in an encoded local part
_CAPACITY: Final = 5000  # sharees remembered


@dataclass(frozen=True, slots=True)
class _Hint:
    key: str
    owner: str
    modified: float


@dataclass(slots=True)
class _Known:
    hints: list[_Hint]
    read: float  # Clock.elapsed


class Shares:
    """One a pod. What was read is believed for `ttl` seconds."""

    def __init__(self, store: Store, ttl: float = 5.0) -> None:
        self._store = store
        self._ttl = ttl
        self._time: BucketClock | None = None
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()

    async def announced(
        self, domain: str, sharee: str | None, owner: str, grant: Callable[[], Awaitable[None]]
    ) -> None:
        """`grant`, with its hint. Local parts; no sharee: everybody of the domain. Raises Unavailable, and what that
        raises."""
        began = self._store.clock.elapsed()
        await self.announce(domain, sharee, owner)
        await grant()
        if self._store.clock.elapsed() - began >= self._store.settings.grace / 2:  # it may have been taken for old
            await self.announce(domain, sharee, owner)

    async def announce(self, domain: str, sharee: str | None, owner: str) -> None:
        """Before a commit that grants something, which follows within GRACE/2. Raises Unavailable."""
        key = f"{_folder(domain, sharee)}{encode_local_part(owner)}/{self._store.random_id()}"
        try:
            await self._store.objects.create(key, [b"{}\n"])
        except AlreadyExists:
            pass
        except (Ambiguous, StorageError) as error:
            raise Unavailable from error

    async def owners(self, domain: str, sharee: str) -> list[str]:
        """Local parts of those who may have shared something with `sharee`. Raises Unavailable."""
        hints = [hint for known in await self._read(domain, sharee) for hint in known]
        return sorted({hint.owner for hint in hints} - {sharee})

    async def tidy(self, domain: str, sharee: str, without: Collection[str]) -> None:
        """Remove hints of owners `without` a grant, found so after `owners` gave them. Raises Unavailable."""
        hints, _ = await self._read(domain, sharee)
        newest = {hint.owner: hint for hint in sorted(hints, key=lambda hint: hint.modified)}
        spare = [hint.key for hint in hints if newest[hint.owner] is not hint]
        unneeded = [hint for hint in newest.values() if hint.owner in without]
        try:
            if unneeded:
                self._time = self._time or BucketClock(self._store.objects, self._store.clock)
                now = await self._time.now()
                spare += [hint.key for hint in unneeded if now - hint.modified > self._store.settings.grace]
            if spare:
                await self._store.objects.delete(spare)
        except (Ambiguous, StorageError) as error:
            raise Unavailable from error

    async def _read(self, domain: str, sharee: str) -> Sequence[list[_Hint]]:
        """The sharee's hints, and everybody's."""
        return await asyncio.gather(self._hints(domain, sharee), self._hints(domain, None))

    async def _hints(self, domain: str, sharee: str | None) -> list[_Hint]:
        folder, now = _folder(domain, sharee), self._store.clock.elapsed()
        known = self._known.get((domain, folder))
        if known is None or now - known.read >= self._ttl:
            try:
                found = await self._store.objects.list(folder)
            except StorageError as error:
                raise Unavailable from error
            hints = [_Hint(one.key, owner, one.modified) for one in found if (owner := _owner(folder, one.key))]
            known = self._known[domain, folder] = _Known(hints, now)
            while len(self._known) > _CAPACITY:
                self._known.popitem(last=False)
        return known.hints


def _folder(domain: str, sharee: str | None) -> str:
    return f"{SHARES_PREFIX}{domain}/{EVERYBODY if sharee is None else encode_local_part(sharee)}/"


def _owner(folder: str, key: str) -> str:
    """ "" for what is no hint."""
    owner, _, identifier = key.removeprefix(folder).partition("/")
    return unquote(owner) if identifier and "/" not in identifier else ""
