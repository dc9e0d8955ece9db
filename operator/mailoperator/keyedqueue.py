"""A queue of keys to reconcile. A key is never worked on twice at a time, and never forgotten:

one that is added while its work runs is run again after it; one whose work fails comes back, later each time. So 5,000
objects need neither annotations of progress nor a timer each (OPERATOR.md rule 11).

What somebody changed goes before what is looked at for the first time, and that before what a sweep looks at again: a
new password is in force within seconds while thousands of objects wait.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
import random
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from mailpod.logs import event

K = TypeVar("K", bound=Hashable)
_FIRST: Final = 1.0  # seconds
_LONGEST: Final = 300.0


class Turn(enum.IntEnum):
    """Who goes first."""

    CHANGED = 0
    NEW = 1
    SWEPT = 2


class Retry(Exception):
    """What will pass: come back after `delay` seconds. It is no failure, and is not logged as one."""

    def __init__(self, delay: float, why: str = "") -> None:
        super().__init__(why)
        self.delay = delay


@dataclass(slots=True)
class _State:
    running: bool = False
    again: Turn | None = None  # added while it ran
    failures: int = 0
    timer: asyncio.TimerHandle | None = None


class KeyedQueue(Generic[K]):
    """`work(key)` returns seconds after which to come back unasked, or None."""

    def __init__(
        self,
        work: Callable[[K], Awaitable[float | None]],
        *,
        limit: int = 32,
        rng: random.Random | None = None,
        first_delay: float = _FIRST,
    ) -> None:
        self._work = work
        self._limit = limit
        self._rng = rng or random.Random()  # noqa: S311  jitter
        self._first = first_delay
        self._states: dict[K, _State] = {}
        self._ready: asyncio.PriorityQueue[tuple[Turn, int, K]] = asyncio.PriorityQueue()
        self._order = itertools.count()  # within a turn, first come, first served
        self._queued: dict[K, tuple[Turn, int]] = {}  # where each key is in _ready; other places of it are void
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        """Keys that wait to be worked on now, or are."""
        return len(self._queued) + sum(state.running for state in self._states.values())

    def add(self, key: K, delay: float = 0.0, turn: Turn = Turn.NEW) -> None:
        """Work on `key` in `delay` seconds, or sooner where it was to be sooner. `turn` counts where it is at once."""
        state = self._states.setdefault(key, _State())
        if delay > 0:
            self._later(key, state, delay)
            return
        if state.timer is not None:
            state.timer.cancel()
            state.timer = None
        if state.running:
            state.again = turn if state.again is None else min(turn, state.again)
        elif key not in self._queued or turn < self._queued[key][0]:
            place = self._queued[key] = turn, next(self._order)
            self._ready.put_nowait((*place, key))
            self._idle.clear()

    async def run(self) -> None:
        """Work, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._limit):
                    group.create_task(self._worker())
        finally:
            for state in self._states.values():
                if state.timer is not None:
                    state.timer.cancel()

    async def settled(self) -> None:
        """Wait until nothing is due now; what is due later does not count. For tests and for a clean stop."""
        await self._idle.wait()

    def waiting(self) -> dict[K, int]:
        """Keys that failed, and how many times in a row."""
        return {key: state.failures for key, state in self._states.items() if state.failures}

    def _later(self, key: K, state: _State, delay: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        if key in self._queued or state.again is not None or (state.timer is not None and state.timer.when() <= due):
            return
        if state.timer is not None:
            state.timer.cancel()
        state.timer = loop.call_at(due, self._due, key)

    def _due(self, key: K) -> None:
        self._states[key].timer = None
        self.add(key)

    async def _worker(self) -> None:
        while True:
            turn, number, key = await self._ready.get()
            if self._queued.get(key) != (turn, number):
                continue  # it had a better turn
            del self._queued[key]
            state = self._states[key]
            state.running = True
            try:
                await self._one(key, state)
            finally:
                state.running = False
                self._after(key, state)

    async def _one(self, key: K, state: _State) -> None:
        try:
            delay = await self._work(key)
        except Retry as retry:
            state.failures = 0
            self._later(key, state, retry.delay)
        except Exception as error:
            state.failures += 1
            delay = min(_LONGEST, self._first * 2 ** min(state.failures - 1, 16)) * self._rng.uniform(0.8, 1.2)
            event(
                "reconcile.failed",
                level="warning",
                key=str(key),
                error=f"{type(error).__name__}: {error}",
                failures=state.failures,
                retry_in=round(delay, 1),
            )
            self._later(key, state, delay)
        else:
            state.failures = 0
            if delay is not None:
                self._later(key, state, delay)

    def _after(self, key: K, state: _State) -> None:
        if state.again is not None:
            turn, state.again = state.again, None
            self.add(key, turn=turn)
        elif state.timer is None and not state.failures:
            self._states.pop(key, None)
        if not len(self):
            self._idle.set()
