"""A bound on bytes of messages in flight, shared by all sessions of a pod. First come, first served."""

from __future__ import annotations

import asyncio
from collections import deque


class Budget:
    """`try_take` for who can refuse (SMTP's 452), `take` for who can wait. Each take is given back exactly once.

    A single request above the total is granted when nothing else is out: a message may be larger than a small budget.
    """

    def __init__(self, total_bytes: int) -> None:
        self.total = total_bytes
        self.used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def try_take(self, count: int) -> bool:
        """Take `count` bytes if they are free and nobody waits before us."""
        if self._waiting or not self._fits(count):
            return False
        self.used += count
        return True

    @property
    def free(self) -> int:
        """Bytes that `try_take` would give now."""
        return 0 if self._waiting else max(self.total - self.used, 0)

    async def take(self, count: int) -> None:
        """Take `count` bytes, waiting for them in turn."""
        if self.try_take(count):
            return
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((count, ready))
        try:
            await ready
        except asyncio.CancelledError:
            if ready.done() and not ready.cancelled():
                self.give(count)
            else:
                self._waiting.remove((count, ready))
                self._grant()
            raise

    def give(self, count: int) -> None:
        """Give back what was taken."""
        self.used -= count
        assert self.used >= 0, "more was given back than taken"
        self._grant()

    def _fits(self, count: int) -> bool:
        return self.used + count <= self.total or self.used == 0

    def _grant(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            count, ready = self._waiting.popleft()
            if not ready.cancelled():
                self.used += count
                ready.set_result(None)
