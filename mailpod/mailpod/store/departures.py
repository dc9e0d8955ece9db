"""Owners whose entries were taken back, and when: what was planned before that publishes nothing of theirs any more.

A comparison gathers what it wants, and looks at the bucket, for seconds. An owner that is deleted meanwhile would be
published once more by it, and get a new account where the old one is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mailpod.clock import Clock

_REMEMBERED: Final = 600.0  # seconds; nothing takes as long from its plan to its last write


class Departures:
    """Of one publisher. `writing` is around each write of an owner's entry; `leave` before they are taken back."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left: dict[str, float] = {}  # owner -> Clock.elapsed
        self._writes: dict[str, set[asyncio.Future[None]]] = {}  # owner -> those that are under way

    async def leave(self, owner: str) -> None:
        """From now on only what is planned later is written of `owner`; nothing of it is under way any more."""
        self._left[owner] = self._clock.elapsed()
        while writes := self._writes.get(owner):
            await asyncio.wait(writes)

    @contextmanager
    def writing(self, owner: str, planned: float) -> Iterator[bool]:
        """Whether what was planned then (Clock.elapsed) may be written."""
        if self._left.get(owner, planned) > planned:
            yield False
            return
        write = asyncio.get_running_loop().create_future()
        writes = self._writes.setdefault(owner, set())
        writes.add(write)
        try:
            yield True
        finally:
            write.set_result(None)
            writes.remove(write)
            if not writes:
                del self._writes[owner]

    def forget(self) -> None:
        """What is too long ago to matter."""
        since = self._clock.elapsed() - _REMEMBERED
        self._left = {owner: left for owner, left in self._left.items() if left > since}
