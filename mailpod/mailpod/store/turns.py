"""Whose turn it is to commit to an account that several pods write to: STORE.md rule 6.

- Who commits again as soon as it is answered wins every race, since the others must first read what won: it would keep
  them out for as long as it is busy. So the last winner waits longer than a loser needs.
- Who has seen nobody else leaves a gap now and then: those whom it keeps out cannot make themselves seen.
- Waits are PUT latencies from our last answer on: whoever paused anyway waits for nothing.
"""

from __future__ import annotations

import random
from math import inf
from typing import Final

from ..clock import Clock

_CONTENDED: Final = 1.0  # seconds after another pod's commit; at least 20 latencies
_HOLD: Final = 4.0  # seconds of commits, one right behind the other, until others get a gap unasked
_FIRST_LATENCY: Final = 0.005
_WEIGHT: Final = 0.1  # of a new measurement


class Turns:
    """Of one account, in one pod."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng
        self._latency = _FIRST_LATENCY
        self._ours_at = self._foreign_at = -inf
        self._held_since = -inf  # since when our commits left no gap between them

    def answered(self, sent: float, *, won: bool) -> None:
        """A PUT that was sent then (Clock.elapsed) is answered now."""
        now = self._clock.elapsed()
        self._latency += _WEIGHT * (now - sent - self._latency)
        if won:
            self._ours_at = now

    def foreign(self) -> None:
        """Another pod's commit was read."""
        self._foreign_at = self._clock.elapsed()

    async def wait(self) -> None:
        """Before a commit."""
        seconds = self._seconds(self._clock.elapsed())
        if seconds > 0:
            await self._clock.sleep(seconds)

    def _seconds(self, now: float) -> float:
        latency, since = self._latency, now - self._ours_at
        if now - self._foreign_at < max(_CONTENDED, 20 * latency):
            if self._foreign_at >= self._ours_at:
                return self._rng.uniform(0, latency)
            return self._rng.uniform(2 * latency, 3 * latency) - since
        if since > 4 * latency:
            self._held_since = now
        elif now - self._held_since > _HOLD:
            self._held_since = now
            return self._rng.uniform(4 * latency, 6 * latency) - since
        return 0.0
