"""Whose turn it is to commit to an account that several pods write to: STORE.md rule 6.

- Who commits again as soon as it is answered wins every race, since the others must first read what won: it would keep
  them out for as long as it is busy. So who had a turn steps back, the longer the more pods there are.
- Who has waited longer steps back for less: nobody loses again and again, however many there are.
- Who has seen nobody else leaves a gap now and then: those whom it keeps out cannot make themselves seen.
- Waits are PUT latencies from our last answer on: whoever paused anyway waits for nothing.
"""

from __future__ import annotations

import random
from math import inf
from typing import Final

from ..clock import Clock

_LATELY: Final = 1.0  # seconds after another pod's commit in which it is counted; at least 20 latencies
_HOLD: Final = 4.0  # seconds of commits, one right behind the other, until others get a gap unasked
_SHORT_HOLD: Final = 1.0  # the same where a gap costs little: where 40 latencies are no longer
_FIRST_LATENCY: Final = 0.005
_LEAST_LATENCY: Final = 0.0001
_WEIGHT: Final = 0.1  # of a new measurement
_ROUND: Final = 2.5  # latencies between two commits where all want to: a loser's GET and PUT, and some dispersion
_WON: Final = 1.5  # latencies for each pod that who had a turn just now steps back
_LOST: Final = 3.0  # latencies that a loser does


class Turns:
    """Of one account, in one pod."""

    def __init__(self, clock: Clock, rng: random.Random, *, patience: float) -> None:
        """Who has waited for `patience` seconds steps back no more."""
        self._clock = clock
        self._rng = rng
        self._patience = patience
        self._latency = _FIRST_LATENCY
        self._answers = 0
        self._ours_at = -inf
        self._others = dict[str, float]()  # pod -> when a commit of it was read; those of lately
        self._held_since = -inf  # since when our commits left no gap between them
        self.behind = False
        """Others are likely to have committed since: it takes less time to look than to lose a race."""

    def answered(self, sent: float, *, won: bool) -> None:
        """A PUT that was sent then (Clock.elapsed) is answered now."""
        now = self._clock.elapsed()
        self._answers += 1
        learned = self._latency + max(_WEIGHT, 1 / self._answers) * (now - sent - self._latency)
        self._latency = max(_LEAST_LATENCY, learned)
        if won:
            self._ours_at = now
        else:
            self.behind = True

    def foreign(self, pod: str) -> None:
        """A commit of another pod was read."""
        now = self._clock.elapsed()
        self._others[pod] = now
        self._forget(now)

    async def wait(self, came: float, *, lost: bool = False) -> None:
        """Before a commit, the oldest part of which came then (Clock.elapsed). `lost`: it lost a race just now."""
        seconds = self._seconds(self._clock.elapsed(), came, lost=lost)
        if seconds > 0:
            await self._clock.sleep(seconds)

    def _seconds(self, now: float, came: float, *, lost: bool) -> float:
        latency, since = self._latency, now - self._ours_at
        self._forget(now)
        if self._others:
            pods = 1 + len(self._others)
            enough = min(pods * _ROUND * latency, self._patience)  # each of them had a turn meanwhile
            share = max(0.0, 1 - (now - came) / enough) * self._rng.uniform(0.7, 1.3)
            return _LOST * latency * share if lost else _WON * pods * latency * share - since
        if since > 4 * latency:
            self._held_since = now
        elif now - self._held_since > min(max(_SHORT_HOLD, 40 * latency), _HOLD):
            self._held_since = now
            return self._rng.uniform(4 * latency, 6 * latency) - since
        return 0.0

    def _forget(self, now: float) -> None:
        until = now - max(_LATELY, 20 * self._latency)
        for pod in [pod for pod, seen in self._others.items() if seen <= until]:
            del self._others[pod]
