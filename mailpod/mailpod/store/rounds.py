"""Whose a day's round over the mailboxes of a domain is: one pod's, and another's where that one was killed.

    retention/<YYYY-MM-DD>/<domain>/claim-<n>    who goes round, n of 2 digits from 1 on: created if absent
                                   /done         it came to its end

- A claim spares the others the work, and decides nothing: what a round does may be done twice, at the same time too.
- The day is bucket time, in UTC. A claim that is older than `claim_seconds` in bucket time, without `done`, was given
  up. What is of other days is nobody's any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote

from mailpod.addresses import Address
from mailpod.clock import Clock
from mailpod.errors import Unavailable
from mailpod.store.buckettime import BucketClock
from mailpod.store.objects import AlreadyExists, Ambiguous, ObjectStore, StorageError

ROUNDS_PREFIX: Final = "retention/"
_MOST_CLAIMS: Final = 3  # of one domain and day: what three pods could not finish waits for the next


@dataclass(slots=True)
class Round:
    """A domain's round of a day, as it stands. `claimed` is the newest claim's bucket time."""

    claims: int = 0
    claimed: float = 0.0
    done: bool = False


@dataclass(slots=True)
class Today:
    """A day's rounds, by domain, and the keys of other days."""

    day: str
    rounds: dict[str, Round] = field(default_factory=dict)
    over: list[str] = field(default_factory=list)


class Rounds:
    """Every method raises Unavailable when the bucket does not answer."""

    def __init__(self, objects: ObjectStore, clock: Clock, *, claim_seconds: float) -> None:
        self._objects = objects
        self._time = BucketClock(objects, clock)
        self._claim_seconds = claim_seconds

    async def now(self) -> float:
        """Bucket time."""
        try:
            return await self._time.now()
        except (StorageError, Ambiguous) as error:
            raise Unavailable from error

    async def today(self) -> Today:
        found = Today(datetime.fromtimestamp(await self.now(), UTC).date().isoformat())
        try:
            listing = await self._objects.list(ROUNDS_PREFIX)
        except StorageError as error:
            raise Unavailable from error
        for entry in listing:
            day, _, rest = entry.key.removeprefix(ROUNDS_PREFIX).partition("/")
            domain, _, name = rest.partition("/")
            if day != found.day:
                found.over.append(entry.key)
                continue
            standing = found.rounds.setdefault(domain, Round())
            if name == "done":
                standing.done = True
            else:
                standing.claims, standing.claimed = standing.claims + 1, max(standing.claimed, entry.modified)
        return found

    async def claim(self, today: Today, domain: str) -> bool:
        """Whether today's round of the domain is ours."""
        standing = today.rounds.get(domain, Round())
        if standing.done or standing.claims >= _MOST_CLAIMS:
            return False
        if standing.claims and await self.now() - standing.claimed < self._claim_seconds:
            return False
        return await self._create(f"{ROUNDS_PREFIX}{today.day}/{domain}/claim-{standing.claims + 1:02d}")

    async def done(self, today: Today, domain: str) -> None:
        await self._create(f"{ROUNDS_PREFIX}{today.day}/{domain}/done")

    async def forget(self, keys: Sequence[str]) -> None:
        """What other days left."""
        try:
            await self._objects.delete(keys)
        except (StorageError, Ambiguous) as error:
            raise Unavailable from error

    async def domains(self) -> list[str]:
        """All that the directory has."""
        return await self._folders("directory/")

    async def addresses(self, domain: str) -> list[Address]:
        """Every address of a domain that the directory has, or had."""
        return [Address(unquote(name), domain) for name in await self._folders(f"directory/{domain}/")]

    async def _folders(self, prefix: str) -> list[str]:
        try:
            return await self._objects.list_folders(prefix)
        except StorageError as error:
            raise Unavailable from error

    async def _create(self, key: str) -> bool:
        try:
            await self._objects.create(key, [b"{}\n"])
        except AlreadyExists:
            return False
        except (StorageError, Ambiguous) as error:  # perhaps ours: taken up again when it is old
            raise Unavailable from error
        return True
