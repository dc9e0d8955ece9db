"""Time and randomness, injected, so that a simulation replays from a seed. Nothing else reads a clock."""

from __future__ import annotations

import time
from typing import Protocol

_ELAPSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    def elapsed(self) -> float:
        """Seconds that passed, suspension of the machine included (STORE.md, "Time")."""

    def now(self) -> float:
        """Seconds since the epoch by this machine's clock; only for dates that people see."""

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clocks."""

    def elapsed(self) -> float:
        return time.clock_gettime(_ELAPSED)

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        import asyncio

        await asyncio.sleep(seconds)
