"""Clients come first: what a pod does beside serving them is done in small turns, each when no client waits for it.

- A client's work is what runs inside `with pace`, or says `stir` as it goes on; it is never held up here.
- A turn begins when clients have rested for `background_quiet` seconds; on a pod where they never do, each
  `background_patience`: so much they lose at most, and so much is done all the same.
- After a turn nothing is done for as long as it took: half a core at most.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from typing import Final

from ..clock import Clock
from .settings import StoreSettings

_LOOKS: Final = 32  # at most, of one wait


class Pace:
    """Of one pod."""

    def __init__(self, clock: Clock, settings: StoreSettings) -> None:
        self._clock = clock
        self._settings = settings
        self._working = 0
        self._stirred = -inf

    def __enter__(self) -> None:
        self._working += 1

    def __exit__(self, *_: object) -> None:
        self._working -= 1
        self.stir()

    def stir(self) -> None:
        """A client's work went on just now."""
        self._stirred = self._clock.elapsed()

    async def rest(self, patience: float) -> None:
        """Wait until clients rest, but no longer than `patience` seconds."""
        end = self._clock.elapsed() + patience
        quiet = self._settings.background_quiet
        step = max(quiet, patience / _LOOKS)
        while (now := self._clock.elapsed()) < end and (self._working or now - self._stirred < quiet):
            await self._clock.sleep(min(step, end - now))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Around some milliseconds of work that no client waits for."""
        await self.rest(self._settings.background_patience)
        began = self._clock.elapsed()
        yield
        await self._clock.sleep(self._clock.elapsed() - began)
