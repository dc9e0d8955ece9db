"""A bound on what is asked of the bucket at once, shared out between accounts: one mailbox cannot starve the pod.

- An account has at most `per_account` requests under way, all together `total`. Who waits is served account by account.
- A slot is held for one request and no longer, and is given back however the request ends.
- Waiting happens inside the caller's own deadlines and dates: a look dates from before it (STORE.md rule 2).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from mailpod import metrics
from mailpod.store.objects import Buffer, Entry, ObjectStore

T = TypeVar("T")
TOTAL: Final = 256
PER_ACCOUNT: Final = 48  # three clients that download at once (StoreSettings.read_ahead)


@dataclass(slots=True)
class _Lane:
    active: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class ThrottledObjects:
    """An ObjectStore that asks `inner`, not too much at once."""

    def __init__(self, inner: ObjectStore, *, total: int = TOTAL, per_account: int = PER_ACCOUNT) -> None:
        self.inner = inner
        self._total = total
        self._per_account = per_account
        self._active = 0
        self._lanes: dict[str, _Lane] = {}
        self._turns: OrderedDict[str, None] = OrderedDict()  # lanes with somebody waiting; the first is next

    def __getattr__(self, name: str) -> Any:
        """Hints of an implementation that are not part of the interface, such as how much reading ahead helps."""
        return getattr(self.inner, name)

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        await self._ask(key, self.inner.create(key, data))

    async def put(self, key: str, data: Sequence[Buffer]) -> None:
        await self._ask(key, self.inner.put(key, data))

    async def get(self, key: str) -> bytes:
        return await self._ask(key, self.inner.get(key))

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        return await self._ask(key, self.inner.get_range(key, start, end))

    async def get_head(self, key: str, size: int) -> tuple[bytes, int]:
        return await self._ask(key, self.inner.get_head(key, size))

    async def get_with_time(self, key: str) -> tuple[bytes, float]:
        return await self._ask(key, self.inner.get_with_time(key))

    async def list_folders(self, prefix: str) -> list[str]:
        return await self._ask(prefix, self.inner.list_folders(prefix))

    async def delete(self, keys: Sequence[str]) -> None:
        await self._ask(keys[0] if keys else "", self.inner.delete(keys))

    async def upload(self, key: str, data: AsyncIterator[Buffer]) -> int:
        return await self._ask(key, self.inner.upload(key, data))

    async def close(self) -> None:
        await self.inner.close()

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        return await self._ask(prefix, self.inner.list(prefix, after=after, limit=limit))

    async def _ask(self, key: str, request: Awaitable[T]) -> T:
        lane = lane_of(key)
        try:
            await self._enter(lane)
        except BaseException:
            _drop(request)
            raise
        try:
            return await request
        finally:
            self._leave(lane)

    async def _enter(self, name: str) -> None:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = _Lane()
        if self._active < self._total and not lane.waiting and self._has_room(name, lane):
            self._take(lane)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lane.waiting.append(turn)
        self._turns.setdefault(name)
        metrics.BUCKET_WAITING.inc()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # its turn had come
                self._leave(name)
            else:
                with suppress(ValueError):  # or it was passed over
                    lane.waiting.remove(turn)
                self._forget(name, lane)
            raise
        finally:
            metrics.BUCKET_WAITING.dec()

    def _leave(self, name: str) -> None:
        lane = self._lanes[name]
        lane.active -= 1
        self._active -= 1
        self._forget(name, lane)
        if self._turns:
            self._call()

    def _take(self, lane: _Lane) -> None:
        lane.active += 1
        self._active += 1

    def _has_room(self, name: str, lane: _Lane) -> bool:
        return lane.active < (self._per_account if name.startswith("accounts/") else self._total)

    def _call(self) -> None:
        """Give free slots to who waits, one a lane and round again."""
        for name in list(self._turns):
            if self._active >= self._total:
                return
            lane = self._lanes[name]
            if not self._has_room(name, lane):
                continue
            while lane.waiting and (turn := lane.waiting.popleft()):
                if not turn.done():  # else who waited was cancelled, and has not noticed yet
                    self._take(lane)
                    turn.set_result(None)
                    break
            if lane.waiting:
                self._turns.move_to_end(name)
            else:
                self._forget(name, lane)

    def _forget(self, name: str, lane: _Lane) -> None:
        if self._lanes.get(name) is lane and not lane.waiting:
            self._turns.pop(name, None)
            if not lane.active:
                self._lanes.pop(name, None)


def lane_of(key: str) -> str:
    """What shares a bound: an account's objects, else all of a kind (`directory`, `outbound`)."""
    parts = key.split("/", 4)
    return "/".join(parts[:4]) if parts[0] == "accounts" and len(parts) > 3 else parts[0]


def _drop(request: Awaitable[Any]) -> None:
    """Nobody will await it."""
    close = getattr(request, "close", None)
    if close is not None:
        close()
