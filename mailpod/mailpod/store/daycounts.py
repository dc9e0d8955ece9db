"""What pods counted for daily reports, of TLS (RFC 8460) and of DMARC (RFC 9990), until a day is reported.

    tlsreports/<YYYY-MM-DD>/count-<16 hex digits>   an hour of one pod: JSON, a list
                           /claim-<n>               who reports the day, n of 2 digits from 1 on: created if absent
    dmarcreports/…                                  the same

- Created once, never written again. Nothing here is acknowledged mail: a count that is lost is a number too low.
- The day is the counting pod's, in UTC. Who claims a day reads its counts, deletes them when they are reported, and
  leaves the claim. A claim that is older than CLAIM_SECONDS in bucket time, with counts left, was given up.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

from mailpod.clock import Clock
from mailpod.errors import Unavailable
from mailpod.store.buckettime import BucketClock
from mailpod.store.objects import AlreadyExists, Ambiguous, NotFound, ObjectStore, StorageError

CLAIM_SECONDS: Final = 6 * 3600.0
TLS_PREFIX: Final = "tlsreports/"
DMARC_PREFIX: Final = "dmarcreports/"
_MOST_CLAIMS: Final = 3  # of one day: what three pods could not report is dropped


@dataclass(slots=True)
class Day:
    """A day's objects. `claimed` is the newest claim's bucket time, `number` its number."""

    counts: list[str] = field(default_factory=list)
    claims: list[str] = field(default_factory=list)
    claimed: float = 0.0

    @property
    def number(self) -> int:
        return len(self.claims)


class DayCounts:
    """Every method raises Unavailable when the bucket does not answer."""

    def __init__(self, objects: ObjectStore, clock: Clock, rng: random.Random, prefix: str) -> None:
        self._objects, self._rng, self._prefix = objects, rng, prefix
        self._time = BucketClock(objects, clock)

    async def add(self, day: str, data: bytes) -> None:
        """Keep a pod's count. After Unavailable it may be there all the same."""
        try:
            await self._objects.create(f"{self._prefix}{day}/count-{self._rng.getrandbits(64):016x}", [data])
        except (StorageError, Ambiguous, AlreadyExists) as error:
            raise Unavailable from error

    async def days(self) -> dict[str, Day]:
        """All that are there, oldest first."""
        found: dict[str, Day] = {}
        try:
            listing = await self._objects.list(self._prefix)
        except StorageError as error:
            raise Unavailable from error
        for entry in listing:
            _, day, name = entry.key.split("/", 2)
            standing = found.setdefault(day, Day())
            if name.startswith("claim-"):
                standing.claims.append(entry.key)
                standing.claimed = max(standing.claimed, entry.modified)
            else:
                standing.counts.append(entry.key)
        return found

    async def claim(self, day: str, standing: Day) -> bool:
        """Whether the day is ours to report."""
        if standing.number >= _MOST_CLAIMS:
            return False
        try:
            if standing.claims and await self._time.now() - standing.claimed < CLAIM_SECONDS:
                return False
            await self._objects.create(f"{self._prefix}{day}/claim-{standing.number + 1:02d}", [b"{}\n"])
        except AlreadyExists:
            return False
        except (StorageError, Ambiguous) as error:  # perhaps ours: taken up again when it is old
            raise Unavailable from error
        return True

    async def counts(self, standing: Day) -> list[bytes]:
        found = []
        for key in standing.counts:
            try:
                found.append(await self._objects.get(key))
            except NotFound:
                continue
            except StorageError as error:
                raise Unavailable from error
        return found

    async def reported(self, standing: Day) -> None:
        """The counts go; the claim stays, so that nobody reports the day again."""
        await self._delete(standing.counts)

    async def forget(self, standing: Day) -> None:
        """All of a day that is long over."""
        await self._delete([*standing.counts, *standing.claims])

    async def _delete(self, keys: list[str]) -> None:
        try:
            await self._objects.delete(keys)
        except (StorageError, Ambiguous) as error:
            raise Unavailable from error
