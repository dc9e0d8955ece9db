"""An event loop whose time passes only when nobody has anything to do: hours in milliseconds, the same for one seed.

It waits for no file and no thread, so that a turn of it costs little more than what the turn does.
"""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from heapq import heappop, heappush
from typing import Any, TypeVar

T = TypeVar("T")


class _Turn:
    """What is to be called, which is no longer so once it was cancelled; what asyncio needs of a TimerHandle."""

    __slots__ = ("_when", "args", "callback", "context")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context, when: float) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self.context = context
        self._when = when

    def cancel(self) -> None:
        self.callback, self.args = None, ()

    def cancelled(self) -> bool:
        return self.callback is None

    def when(self) -> float:
        return self._when


class VirtualLoop(asyncio.BaseEventLoop):
    """`time()` is virtual seconds since the loop was made."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._turns: deque[_Turn] = deque()
        self._timers: list[tuple[float, int, _Turn]] = []
        self._made = 0  # timers of one moment go off as they were made

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> _Turn:  # type: ignore[override]
        turn = _Turn(callback, args, copy_context() if context is None else context, self._now)
        self._turns.append(turn)
        return turn

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Turn:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Turn:
        turn = _Turn(callback, args, copy_context() if context is None else context, when)
        self._made += 1
        heappush(self._timers, (when, self._made, turn))
        return turn

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Turn:
        """There is no other thread; a generator that nobody reads to its end says here that it is to be closed."""
        return self.call_soon(callback, *args, context=context)

    def _run_once(self) -> None:
        """Whatever is due, then the next timer, until the loop is to stop."""
        turns, timers = self._turns, self._timers
        while not self._stopping:  # type: ignore[attr-defined]
            if turns:
                turn = turns.popleft()
            elif timers:
                when, _, turn = heappop(timers)
                if turn.callback is None:
                    continue
                self._now = max(self._now, when)
            else:
                raise RuntimeError("everybody waits for ever")
            if turn.callback is not None:
                try:
                    turn.context.run(turn.callback, *turn.args)
                except Exception as error:
                    self.call_exception_handler({"message": f"{turn.callback}", "exception": error})

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """At once, and here: a thread would end at a moment that no seed decides."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time, without a look for garbage, which costs a fifth of the run."""
    loop = VirtualLoop()
    collects = gc.isenabled()
    gc.disable()
    try:
        return loop.run_until_complete(main)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        if collects:
            gc.enable()
