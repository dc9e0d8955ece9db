"""Clocks for tests."""

from __future__ import annotations

from mailpod.clock import SystemClock


class Later(SystemClock):
    """A clock that the test puts forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def elapsed(self) -> float:
        return super().elapsed() + self.ahead

    def now(self) -> float:
        return super().now() + self.ahead
