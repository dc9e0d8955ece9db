"""Which buckets this process has tried, so that each further host in one costs no race of its own (STORE.md rule 21).

- Only a bucket that was found fit is remembered, with what it was reached by: another endpoint or other credentials are
  another way to it, and are tried.
- Whoever changes a bucket's settings says so, and it is tried again: versioning decides what a deleted key is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from mailpod.clock import Clock
from mailpod.directory import ProbeResult

Way = tuple[str, str, str, str]
"""Endpoint, region, bucket, and the digest of the credentials."""
FIT_SECONDS: Final = 3600.0  # then it is tried again for the next host: a proxy may have been put in between


class Proofs:
    """One an operator. Several who ask about one bucket at once wait for one trial."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._fit: dict[Way, float] = {}  # Clock.elapsed
        self._locks: dict[Way, asyncio.Lock] = {}
        self._tidying: dict[tuple[str, str], asyncio.Lock] = {}  # by endpoint and bucket
        self._tidied: set[tuple[str, str]] = set()

    async def tidied(self, way: Way, tidy: Callable[[], Awaitable[None]]) -> None:
        """Call `tidy` once a process for each bucket, before any trial of it; who comes meanwhile waits."""
        place = way[0], way[2]
        async with self._tidying.setdefault(place, asyncio.Lock()):
            if place not in self._tidied:
                await tidy()
                self._tidied.add(place)

    def forget(self, bucket: str) -> None:
        """The bucket's settings were changed, by whatever way."""
        for way in [way for way in self._fit if way[2] == bucket]:
            del self._fit[way]

    async def result(self, way: Way, probe: Callable[[], Awaitable[ProbeResult]]) -> ProbeResult:
        """What `probe` found, by this call or lately."""
        async with self._locks.setdefault(way, asyncio.Lock()):
            tried = self._fit.get(way)
            if tried is not None and self._clock.elapsed() - tried < FIT_SECONDS:
                return ProbeResult()
            found = await probe()
            if found.ok:
                self._fit[way] = self._clock.elapsed()
            return found
