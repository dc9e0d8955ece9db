"""What is to be looked at when: in memory, a heap and one timer (STORE.md rule 20: nothing polls)."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from typing import Final

from mailpod.clock import Clock

_SOON: Final = (
    0.001  # seconds: not less than a loop's timers tell apart, or one a hair early would come again and again
)


class Due:
    """Names, each once, with the number of attempts that was seen when it was added last."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, str, int]] = []
        self._newest: dict[str, int] = {}  # name -> which of its additions counts
        self._count = 0
        self._changed = asyncio.Event()

    def add(self, name: str, seen: int, seconds: float) -> None:
        """Due after so many seconds, whatever was said before."""
        self._count += 1
        self._newest[name] = self._count
        heapq.heappush(self._heap, (self._clock.elapsed() + seconds, self._count, name, seen))
        self._changed.set()

    async def next(self) -> tuple[str, int]:
        """The first that is due, waited for."""
        while True:
            while self._heap and self._heap[0][0] <= self._clock.elapsed():
                _, count, name, seen = heapq.heappop(self._heap)
                if self._newest.get(name) == count:
                    del self._newest[name]
                    return name, seen
            await self._wait()

    async def _wait(self) -> None:
        """Until something may be due."""
        self._changed.clear()
        wait = max(_SOON, self._heap[0][0] - self._clock.elapsed()) if self._heap else None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), wait)
