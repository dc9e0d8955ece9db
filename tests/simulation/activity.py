"""What a task is doing, for the table of faults and for the oracle: inherited by the tasks that it starts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Activity:
    """`began` is virtual time: a collector, say, decided nothing before it. `listed`: its last LIST of checkpoints."""

    name: str
    began: float
    listed: float = 0.0


_CURRENT: ContextVar[Activity] = ContextVar("activity", default=Activity("start", 0.0))  # noqa: B039


def current() -> Activity:
    return _CURRENT.get()


@contextmanager
def activity(name: str) -> Iterator[None]:
    before = _CURRENT.get()
    _CURRENT.set(Activity(name, asyncio.get_running_loop().time()))
    try:
        yield
    finally:
        _CURRENT.set(before)
