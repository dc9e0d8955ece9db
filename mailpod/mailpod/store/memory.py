"""A bucket in the process's own memory, for tests and trials.

Each call does its whole work in one step of the event loop, so it is atomic, and yields once before it, as a real
bucket would, so that callers' races are real ones. Nothing is copied out: objects are immutable bytes.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from mailpod.store.objects import AlreadyExists, Buffer, Entry, NotFound

if TYPE_CHECKING:
    from mailpod.clock import Clock


class MemoryObjects:
    """ObjectStore in a dict. `clock` gives the modification times; without one they count the writes."""

    read_ahead = 1

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock
        self._writes = 0
        self._objects: dict[str, tuple[bytes, float]] = {}
        self._keys: list[str] = []  # ascending: the order of code points is the order of UTF-8 bytes

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        await asyncio.sleep(0)
        if key in self._objects:
            raise AlreadyExists(key)
        self._write(key, data)

    async def put(self, key: str, data: Sequence[Buffer]) -> None:
        await asyncio.sleep(0)
        self._write(key, data)

    async def get(self, key: str) -> bytes:
        return (await self.get_with_time(key))[0]

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        return (await self.get(key))[start:end]

    async def get_head(self, key: str, size: int) -> tuple[bytes, int]:
        whole = await self.get(key)
        return whole[:size], len(whole)

    async def get_with_time(self, key: str) -> tuple[bytes, float]:
        await asyncio.sleep(0)
        try:
            return self._objects[key]
        except KeyError:
            raise NotFound(key) from None

    async def list_folders(self, prefix: str) -> list[str]:
        await asyncio.sleep(0)
        folders = set()
        for key in self._under(prefix, ""):
            folder, slash, _ = key[len(prefix) :].partition("/")
            if slash:
                folders.add(folder)
        return sorted(folders)

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        await asyncio.sleep(0)
        return [
            Entry(key, len(self._objects[key][0]), self._objects[key][1])
            for key in islice(self._under(prefix, after), limit)
        ]

    async def delete(self, keys: Sequence[str]) -> None:
        await asyncio.sleep(0)
        for key in keys:
            if self._objects.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]

    async def upload(self, key: str, data: AsyncIterator[Buffer]) -> int:
        whole = bytearray()
        async for piece in data:
            whole += piece
        await self.create(key, [whole])
        return len(whole)

    async def close(self) -> None:
        """Nothing to release; the objects stay, so that another Store can open them."""

    def _write(self, key: str, data: Sequence[Buffer]) -> None:
        self._writes += 1
        if key not in self._objects:
            insort(self._keys, key)
        self._objects[key] = b"".join(data), float(self._writes) if self._clock is None else self._clock.now()

    def _under(self, prefix: str, after: str) -> Iterator[str]:
        if prefix and not prefix.endswith("/"):
            raise ValueError(f"a prefix ends with a slash: {prefix!r}")
        first = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after))
        for index in range(first, len(self._keys)):
            if not self._keys[index].startswith(prefix):
                return
            yield self._keys[index]
