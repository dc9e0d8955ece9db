"""Bucket time: the age of an object is its Last-Modified against that of an object just written (STORE.md, "Time")."""

from __future__ import annotations

from mailpod.clock import Clock
from mailpod.store.objects import ObjectStore

_MEASURE_SECONDS = 3600.0  # each measures its offset at start and every hour
CLOCK_KEY = ".mailpod/clock"


class BucketClock:
    """Bucket time, from one small write an hour at most (STORE.md, "Time")."""

    def __init__(self, objects: ObjectStore, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._measured: tuple[float, float] | None = None  # elapsed, bucket time, both of one write

    async def now(self) -> float:
        """No later than the bucket's own time. Raises StorageError, Ambiguous."""
        elapsed = self._clock.elapsed()
        if self._measured is None or elapsed - self._measured[0] > _MEASURE_SECONDS:
            await self._objects.put(CLOCK_KEY, [b"the time of its last change is read\n"])
            _, modified = await self._objects.get_with_time(CLOCK_KEY)
            self._measured = self._clock.elapsed(), modified
        return self._measured[1] + self._clock.elapsed() - self._measured[0]
