"""The directory in one host's bucket, and the accounts behind it: published, compared, closed, erased, measured.

- Nothing is written by an operator that does not hold the Lease: `may_write` is asked before each step that writes.
- A purge needs the claim of the prefix, and is one GRACE away from the close; both are asked of the bucket.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

from mailoperator.metrics import PUBLISH_FAILED, PUBLISH_SECONDS, PUBLISHED
from mailpod.clock import Clock
from mailpod.directory import (
    Ambiguous,
    BucketClock,
    Entry,
    Erase,
    MailboxEntry,
    NotFound,
    ObjectStore,
    Published,
    Publisher,
    Purge,
    StorageError,
    Usage,
    UsageReader,
    purge,
)
from mailpod.errors import MailError
from mailpod.logs import event

_CLOSES_AT_ONCE: Final = 4  # each has an account's index in memory
_READS_AT_ONCE: Final = 16


class DirectorySync:
    """One bucket, or prefix of it. Raises StorageError, Ambiguous, and Unavailable from accounts that do not answer."""

    def __init__(
        self,
        objects: ObjectStore,
        *,
        signing_key: bytes,
        clock: Clock,
        rng: random.Random,
        grace: float,
        erase: Erase | None = None,
        holds_claim: Callable[[], Awaitable[bool]],
        may_write: Callable[[], None] = lambda: None,
    ) -> None:
        """`erase` removes old versions; `may_write` raises where another operator has the Lease."""
        self._objects = objects
        self._publisher = Publisher(objects, signing_key=signing_key, clock=clock, rng=rng)
        self._time = BucketClock(objects, clock)
        self._usage = UsageReader(objects, clock)
        self._grace = grace
        self._erase = erase
        self._holds_claim = holds_claim
        self._may_write = may_write
        self._closing = asyncio.Semaphore(_CLOSES_AT_ONCE)

    async def publish_one(
        self,
        entries: Sequence[Entry],
        living: Callable[[str], bool] = lambda owner: False,
        planned: float | None = None,
    ) -> Published:
        """Entries of one owner: those of its others that are known go. `conflicts` are left alone."""
        self._may_write()
        with PUBLISH_SECONDS.time():
            return await _counted(self._publisher.publish_some(entries, living=living, planned=planned))

    async def withdraw(self, owner: str, entries: Iterable[Entry] = ()) -> Published:
        """Refuse what `owner` had; mail stays."""
        self._may_write()
        return await _counted(self._publisher.withdraw(owner, entries))

    async def verifiers(self, address: str) -> tuple[str, ...]:
        """A mailbox's, as this process last saw or wrote its signed entry; it is read where it was never seen."""
        return await self._publisher.verifiers(address)

    async def compare(
        self,
        entries: Iterable[Entry],
        approved: str | None = None,
        living: Callable[[str], bool] = lambda owner: False,
        planned: float | None = None,
    ) -> Published:
        """Make the directory exactly `entries`, a complete set; see `Published.brake`."""
        self._may_write()
        return await _counted(self._publisher.compare(entries, approved=approved, living=living, planned=planned))

    async def close(self, domain: str, local: str, owner: str) -> None:
        """End an account: nobody finds it from now on, its purge is recorded. One that is not `owner`'s stays."""
        async with self._closing:
            self._may_write()
            await self._publisher.close(domain, local, owner)

    async def purge_due(self) -> list[str]:
        """Erase the accounts whose time has come, of those that the last comparison saw; the records of those done."""
        waiting = self._publisher.purges
        if not waiting or not await self._holds_claim():
            return []
        done = []
        for found in list(waiting):
            self._may_write()
            try:
                if found.closed is None:
                    await self._publisher.finish_close(found)
                elif await self._purge(found):
                    done.append(found.record_key)
                    waiting.remove(found)
            except (StorageError, MailError) as error:
                event("purge.failed", level="warning", key=found.record_key, reason=str(error))
        return done

    async def _purge(self, found: Purge) -> bool:
        erased = await purge(self._objects, found, now=await self._time.now(), grace=self._grace, erase=self._erase)
        if erased:
            event("purge.done", key=found.record_key)
        return erased

    async def usage(self, entries: Iterable[Entry]) -> Mapping[str, Usage]:
        """What mailboxes hold, by address, of those that are known here and could be read."""
        slots = asyncio.Semaphore(_READS_AT_ONCE)

        async def one(entry: MailboxEntry) -> tuple[str, Usage] | None:
            ref = self._publisher.account(entry)
            if ref is None:
                return None
            async with slots:
                try:
                    return entry.address, await self._usage.read(ref)
                except (StorageError, NotFound):
                    return None

        found = await asyncio.gather(*(one(entry) for entry in entries if isinstance(entry, MailboxEntry)))
        return dict(pair for pair in found if pair is not None)


async def _counted(work: Awaitable[Published]) -> Published:
    """What the pass did, counted."""
    try:
        done = await work
    except (StorageError, Ambiguous, MailError):
        PUBLISH_FAILED.inc()
        raise
    PUBLISHED.labels("written").inc(len(done.written))
    PUBLISHED.labels("withdrawn").inc(len(done.withdrawn))
    return done
