"""Whole messages on their way to one client, page after page: where the bucket is far away, some are read ahead.

Invariants: what is read, or being read, was taken from the pod's budget before, the oldest first, and is given back
once the next is asked for. Nobody waits for the budget while holding some of it; what is read ahead leaves half of it
to others. What was read ahead ends with the command. Of a folder one run after the other is read, and no more held than
`_NEAR`, or the largest message; who has had as much waits for the budget again, behind others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from mailpod.errors import MailError

if TYPE_CHECKING:
    from mailpod.net.budget import Budget
    from mailpod.store import Account, Body, Location

_BATCH: Final = 8 * 1024 * 1024  # octets: what a store that is far away reads at once
_NEAR: Final = 4 * 1024 * 1024  # a client of a folder has so much, and then is another's turn

Found: TypeAlias = "list[Body | MailError]"


@dataclass(slots=True)
class _Batch:
    """Messages that are being read."""

    octets: int
    found: asyncio.Task[Found]


class Download:
    """Of one command: `add` messages, and take them in the same order. `ahead`: octets, 0 where none are read ahead."""

    def __init__(self, account: Account, budget: Budget, ahead: int) -> None:
        self._account = account
        self._budget = budget
        self._ahead = ahead
        self._left: deque[Location] = deque()
        self._waiting = 0  # octets of those
        self._window: deque[_Batch] = deque()
        self._held = 0  # of what is being sent; what is in the window holds its own
        self._run: Found = []
        self._here: AsyncGenerator[Found, None] | None = None  # read where it is asked for
        self._share = 0  # of the budget, for that
        self._taken = 0  # octets that came of it since the budget was asked

    @property
    def wants_more(self) -> bool:
        """Whether more messages may be added for the sake of reading ahead."""
        return self._waiting < self._ahead

    def add(self, places: Sequence[Location]) -> None:
        self._left.extend(places)
        self._waiting += sum(at.length for at in places)

    def begin(self, *, last: bool) -> None:
        """Read ahead what may be; `last`: no more messages are added."""
        while self._left and (last or self._waiting >= _BATCH):
            count, octets = self._batch()
            under_way = self._held + sum(batch.octets for batch in self._window)
            if under_way + octets > self._ahead or 2 * (self._budget.used + octets) > self._budget.total:
                return
            if not self._budget.try_take(octets):
                return
            self._window.append(_Batch(octets, asyncio.ensure_future(self._read(self._cut(count, octets)))))

    async def runs(self, count: int) -> AsyncGenerator[Found, None]:
        """The next `count` messages, some at a time. Raises Unavailable."""
        while count:
            run = await self._next(count)
            count -= len(run)
            yield run

    async def aclose(self) -> None:
        """Forget what was read ahead."""
        here, self._here = self._here, None
        if here is not None:
            await here.aclose()
        while self._window:
            batch = self._window.pop()
            if not batch.found.cancel() and not batch.found.cancelled():
                batch.found.exception()  # retrieved: nobody wants it
            self._budget.give(batch.octets)
        self._give_back()

    async def _next(self, count: int) -> Found:
        while not self._run:
            self._run = await self._more()
        run, self._run = self._run[:count], self._run[count:]
        return run

    async def _more(self) -> Found:
        if self._here is not None:
            if self._taken > _NEAR and not self._ahead:
                await self._take(self._share)
            found = await anext(self._here, None)
            if found is not None:
                self._taken += sum(len(each) for each in found if not isinstance(each, MailError))
                return found
            self._here = None
        if self._window:
            self._give_back()
            batch = self._window.popleft()
            self._held = batch.octets
            return await batch.found
        if self._ahead:
            count, octets = self._batch()
            self._share = octets
        else:  # all there are: a stream that ends in the middle of a block has to look at each of its messages
            count, octets = len(self._left), self._waiting
            self._share = max(min(octets, _NEAR), max(at.length for at in self._left))
        await self._take(self._share)
        self._here = self._account.body_runs(self._cut(count, octets))
        return []

    async def _take(self, octets: int) -> None:
        self._give_back()
        await self._budget.take(octets)
        self._held, self._taken = octets, 0

    def _give_back(self) -> None:
        held, self._held = self._held, 0
        self._budget.give(held)

    def _batch(self) -> tuple[int, int]:
        """How many messages are read next, and their octets."""
        count = octets = 0
        for at in self._left:
            if count and octets + at.length > _BATCH:
                break
            count += 1
            octets += at.length
        return count, octets

    def _cut(self, count: int, octets: int) -> list[Location]:
        self._waiting -= octets
        return [self._left.popleft() for _ in range(count)]

    async def _read(self, places: Sequence[Location]) -> Found:
        return [each async for run in self._account.body_runs(places) for each in run]
