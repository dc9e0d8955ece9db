"""Bytes of messages and pages, read once: budgets for what stays in memory, and one GET for many who ask at once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from ..errors import Damaged, Expunged, Unavailable
from .objects import NotFound, ObjectStore, StorageError
from .page import Location, checksum
from .settings import StoreSettings

V = TypeVar("V")


class Cache(Generic[V]):
    """Least recently used values under a budget of bytes. A value larger than the budget is not kept."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.used = 0
        self._values: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self._loading: dict[Hashable, asyncio.Future[V]] = {}

    def get(self, key: Hashable) -> V | None:
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: Hashable, value: V, weight: int) -> None:
        old = self._values.pop(key, None)
        if old is not None:
            self.used -= old[1]
        if weight > self.budget:
            return
        self._values[key] = (value, weight)
        self.used += weight
        while self.used > self.budget:
            _, (_, dropped) = self._values.popitem(last=False)
            self.used -= dropped

    async def load(self, key: Hashable, read: Callable[[], Awaitable[V]], weigh: Callable[[V], int]) -> V:
        """The value, read by one of those who ask for it at once."""
        found = self.get(key)
        if found is not None:
            return found
        pending = self._loading.get(key)
        if pending is not None:
            return await asyncio.shield(pending)
        future = self._loading[key] = asyncio.get_running_loop().create_future()
        try:
            value = await read()
        except BaseException as error:
            future.set_exception(error if isinstance(error, Exception) else Unavailable())
            future.exception()  # retrieved: nobody may be waiting
            raise
        else:
            future.set_result(value)
            self.put(key, value, weigh(value))
            return value
        finally:
            del self._loading[key]


class Bodies:
    """Messages' bytes of all accounts of a pod, checked against their checksums."""

    def __init__(self, objects: ObjectStore, settings: StoreSettings) -> None:
        self._objects = objects
        self._settings = settings
        self._cache: Cache[bytes] = Cache(settings.body_cache_bytes)
        self._ahead = min(settings.read_ahead, getattr(objects, "read_ahead", settings.read_ahead))

    def peek(self, prefix: str, at: Location) -> bytes | None:
        return self._cache.get((prefix, at.key, at.offset))

    async def read(self, prefix: str, at: Location, start: int = 0, end: int | None = None) -> bytes:
        """Bytes start to end of a message. Raises Expunged, Damaged or Unavailable."""
        end = at.length if end is None else min(end, at.length)
        if start == 0 and end == at.length:
            return await self._whole(prefix, at)
        cached = self.peek(prefix, at)
        if cached is not None:
            return cached[start:end]
        if at.length <= 4 * (end - start) or at.length <= 65_536:
            return (await self._whole(prefix, at))[start:end]
        return await self._get(prefix, at, start, end)

    async def _whole(self, prefix: str, at: Location) -> bytes:
        key = (prefix, at.key, at.offset)
        if at.length > self._settings.body_cache_item_bytes:
            return await self._checked(prefix, at)
        return await self._cache.load(key, lambda: self._checked(prefix, at), lambda data: len(data) + 200)

    async def _checked(self, prefix: str, at: Location) -> bytes:
        data = await self._get(prefix, at, 0, at.length)
        if checksum(data) != at.checksum:
            raise Damaged
        return data

    async def _get(self, prefix: str, at: Location, start: int, end: int) -> bytes:
        if start >= end:
            return b""
        try:
            data = await self._objects.get_range(prefix + at.key, at.offset + start, at.offset + end)
        except NotFound as error:
            raise Expunged from error
        except StorageError as error:
            raise Unavailable from error
        if len(data) != end - start:
            raise Damaged
        return data

    async def stream(self, prefix: str, places: Sequence[Location]) -> AsyncIterator[bytes]:
        """Whole messages, in order, with some read ahead."""
        if self._ahead <= 1:
            for at in places:
                yield await self._whole(prefix, at)
            return
        window: list[tuple[asyncio.Task[bytes], int]] = []
        waiting = 0
        position = 0
        try:
            while window or position < len(places):
                while position < len(places) and len(window) < self._ahead and (
                    not window or waiting + places[position].length <= self._settings.read_ahead_bytes
                ):  # fmt: skip
                    at = places[position]
                    if not window and (kept := self.peek(prefix, at)) is not None:
                        position += 1
                        yield kept
                        continue
                    window.append((asyncio.ensure_future(self._whole(prefix, at)), at.length))
                    waiting += at.length
                    position += 1
                task, length = window.pop(0)
                waiting -= length
                yield await task
        finally:
            for task, _ in window:
                task.cancel()
