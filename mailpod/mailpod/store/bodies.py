"""Bytes of messages and pages, read once: budgets for what stays in memory, and one GET for many who ask at once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from ..errors import Damaged, Unavailable
from .location import Location
from .nearby import Body, Nearby, reading, sound
from .objects import ObjectStore, reads_at_once
from .runs import runs
from .settings import StoreSettings

_FIRST_AHEAD: Final = 128 << 10  # octets read along for a client that seems to take one message after the other
_WALKS: Final = 256  # accounts whose last read is remembered

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
    """Messages' bytes of all accounts of a pod, checked against their checksums.

    What lies together in an object is asked for together: by `stream` for the messages given, and by `read` for a
    client that takes one after the other, further and further ahead. Streams from a folder are not kept (nearby.py):
    its files are in the system's cache already, and a download of much would only push out what others read.
    """

    def __init__(self, objects: ObjectStore, settings: StoreSettings) -> None:
        self._objects = objects
        self._settings = settings
        self._cache: Cache[bytes] = Cache(settings.body_cache_bytes)
        self._sharing: Cache[bytes] = Cache(0)  # keeps nothing: who asks for one range at once shares one GET
        self._ahead = reads_at_once(objects, settings.read_ahead)
        most = min(settings.read_run_bytes, getattr(objects, "run_bytes", settings.read_run_bytes))
        self._nearby = Nearby(objects, most, settings.read_gap_bytes, self.peek)
        self._walks: OrderedDict[str, _Walk] = OrderedDict()  # by account

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
        if start >= end:
            return b""
        data = await self._get(prefix, at.key, at.offset + start, at.offset + end)
        if len(data) != end - start:
            raise Damaged
        return data

    async def _whole(self, prefix: str, at: Location) -> bytes:
        key = (prefix, at.key, at.offset)
        if at.length > self._settings.body_cache_item_bytes:
            return _checked(at, await self._get(prefix, at.key, at.offset, at.offset + at.length))
        return await self._cache.load(key, lambda: self._small(prefix, at), lambda data: len(data) + 200)

    async def _small(self, prefix: str, at: Location) -> bytes:
        """One message; and behind it, where it follows the one that was read before, what may be asked for next."""
        walk = self._walks.get(prefix)
        if walk is not None and (data := walk.take(at)) is not None:
            return _checked(at, data)
        ahead = at.length
        if self._ahead > 1:
            gap = self._settings.read_gap_bytes
            follows = walk is not None and walk.key == at.key and walk.end <= at.offset <= walk.end + gap
            ahead = min(max(2 * walk.ahead, _FIRST_AHEAD), self._settings.read_run_bytes) if walk and follows else 0
        data = await self._get(prefix, at.key, at.offset, at.offset + max(at.length, ahead))
        if self._ahead > 1:
            self._remember(prefix, _Walk(at.key, at.offset, at.offset + at.length, ahead, data))
        return _checked(at, data[: at.length])

    def _remember(self, prefix: str, walk: _Walk) -> None:
        self._walks.pop(prefix, None)
        self._walks[prefix] = walk
        held = sum(len(each.data) for each in self._walks.values()) if len(walk.data) > _FIRST_AHEAD else 0
        while len(self._walks) > _WALKS or held > self._settings.read_ahead_bytes:
            _, dropped = self._walks.popitem(last=False)
            held -= len(dropped.data)

    async def _get(self, prefix: str, key: str, start: int, end: int) -> bytes:
        """The bytes that are there between `start` and `end`. Raises Expunged where there is no object."""
        if start >= end:
            return b""
        return await self._sharing.load((prefix, key, start, end), lambda: self._fetch(prefix + key, start, end), len)

    async def _fetch(self, key: str, start: int, end: int) -> bytes:
        with reading():
            return await self._objects.get_range(key, start, end)

    async def run(self, prefix: str, places: Sequence[Location]) -> list[tuple[Location, bytes | None]]:
        """Messages of one run by one GET, past the cache; None for a damaged one. Raises Expunged, Unavailable."""
        data, start = await self._read_run(prefix, places), places[0].offset
        out: list[tuple[Location, bytes | None]] = []
        for at in places:
            piece = data[at.offset - start : at.offset - start + at.length]
            found = sound(at, piece)
            out.append((at, None if isinstance(found, Damaged) else found))
        return out

    async def _read_run(self, prefix: str, places: Sequence[Location]) -> bytes:
        return await self._get(prefix, places[0].key, places[0].offset, places[-1].offset + places[-1].length)

    async def stream(self, prefix: str, places: Sequence[Location]) -> AsyncGenerator[list[Body | Damaged], None]:
        """Whole messages, in order, a run at a time, with some read ahead; Damaged in place of one that is.

        Raises Expunged, Unavailable.
        """
        if self._ahead <= 1:
            async with aclosing(self._nearby.stream(prefix, places)) as near:
                async for found in near:
                    yield found
            return
        left = runs(places, self._settings.read_run_bytes, self._settings.read_gap_bytes)[::-1]
        window: list[tuple[list[Location], asyncio.Task[list[Body | Damaged]] | None, int]] = []
        waiting = 0
        try:
            while window or left:
                while left and len(window) < self._ahead:
                    span = left[-1][-1].offset + left[-1][-1].length - left[-1][0].offset
                    if window and waiting + span > self._settings.read_ahead_bytes:
                        break
                    run = left.pop()
                    window.append((run, self._begin(prefix, run), span))
                    waiting += span
                run, task, span = window.pop(0)
                waiting -= span
                yield await (task if task is not None else self._each(prefix, run))
        finally:
            for _, task, _ in window:
                if task is not None:
                    task.cancel()

    def _begin(self, prefix: str, run: list[Location]) -> asyncio.Task[list[Body | Damaged]] | None:
        """A task that reads the run; None for what is in memory."""
        if all(self.peek(prefix, at) is not None for at in run):
            return None
        if len(run) == 1 and run[0].length <= self._settings.body_cache_item_bytes:
            return asyncio.ensure_future(self._each(prefix, run))  # one message that others may ask for too
        return asyncio.ensure_future(self._together(prefix, run))

    async def _each(self, prefix: str, run: list[Location]) -> list[Body | Damaged]:
        """From memory, or one by one where that has let go of some meanwhile."""
        out: list[Body | Damaged] = []
        for at in run:
            try:
                out.append(await self._whole(prefix, at))
            except Damaged as error:
                out.append(error)
        return out

    async def _together(self, prefix: str, run: list[Location]) -> list[Body | Damaged]:
        data, start = await self._read_run(prefix, run), run[0].offset
        out: list[Body | Damaged] = []
        for at in run:
            known = self.peek(prefix, at)
            if known is None:
                piece = sound(at, data[at.offset - start : at.offset - start + at.length])
                if isinstance(piece, bytes) and at.length <= self._settings.body_cache_item_bytes:
                    self._cache.put((prefix, at.key, at.offset), piece, len(piece) + 200)
                out.append(piece)
            else:
                out.append(known)
        return out


@dataclass(slots=True)
class _Walk:
    """Where a client of an account last read, and what was read along behind it."""

    key: str
    start: int  # of `data` in the object
    end: int  # of the message that was given last
    ahead: int
    data: bytes

    def take(self, at: Location) -> bytes | None:
        first = at.offset - self.start
        if self.key != at.key or first < 0 or first + at.length > len(self.data):
            return None
        self.end = at.offset + at.length
        return self.data[first : first + at.length]


def _checked(at: Location, data: bytes) -> bytes:
    found = sound(at, data)
    if isinstance(found, Damaged):
        raise found
    return found
