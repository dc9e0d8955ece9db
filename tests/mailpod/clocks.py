"""Clocks for tests."""

from __future__ import annotations

import asyncio

from mailpod.clock import SystemClock


class Later(SystemClock):
    """A clock that the test puts forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def elapsed(self) -> float:
        return super().elapsed() + self.ahead

    def now(self) -> float:
        return super().now() + self.ahead


class LoopClock:
    """The time of the loop that runs, which may be a virtual one (tests/simulation/loop.py)."""

    def elapsed(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> float:
        return 1_700_000_000 + self.elapsed()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
