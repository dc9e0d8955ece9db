"""Slows guesses: failures of one account, and of one address, each make its next attempts wait longer.

- The table is bounded; when it is full the longest quiet entry goes, so an attacker with many addresses can forget
  the old ones, and still pays for each account.
- An account is never locked: its owner waits at most the longest delay.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from mailpod.clock import Clock


@dataclass(slots=True)
class _Failures:
    count: float
    at: float


class Throttle:
    """Counts failed log-ins by key. Delays in seconds."""

    def __init__(self, clock: Clock, *, free: int, first: float, longest: float, decay: float, entries: int) -> None:
        self._clock = clock
        self._free = free
        self._first = first
        self._longest = longest
        self._decay = decay
        self._entries = entries
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def __len__(self) -> int:
        return len(self._failures)

    def delay(self, *keys: str) -> float:
        """How long an attempt must wait: the longest of its keys'."""
        return max(map(self._delay_of, keys), default=0.0)

    def failed(self, *keys: str) -> None:
        """An attempt failed."""
        now = self._clock.elapsed()
        for key in keys:
            self._failures[key] = _Failures(self._count(key, now) + 1, now)
            self._failures.move_to_end(key)
        while len(self._failures) > self._entries:
            self._failures.popitem(last=False)

    def succeeded(self, *keys: str) -> None:
        """Forget: the account's owner typed it right. Not for addresses, where an attacker has an account too."""
        for key in keys:
            self._failures.pop(key, None)

    def _delay_of(self, key: str) -> float:
        if key not in self._failures:
            return 0.0
        beyond = self._count(key, self._clock.elapsed()) - self._free
        if beyond <= 0:
            return 0.0
        return float(min(self._longest, self._first * 2 ** min(beyond - 1, 30)))

    def _count(self, key: str, now: float) -> float:
        failures = self._failures.get(key)
        if failures is None:
            return 0.0
        return float(failures.count * 0.5 ** ((now - failures.at) / self._decay))
