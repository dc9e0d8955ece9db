"""Downloads from a bucket that is a folder: read where they are asked for, checked by blocks, and not kept.

Invariant: nothing is handed out that was not compared with something made of these very octets: its block's check
(blocks.py), the tag of an earlier reading (knownruns.py), or its own SHA-256.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias, TypeVar

from ..checksum import checksum
from ..errors import Damaged, Expunged, Unavailable
from .blocks import LINE_BYTES, Blocks, Part, check, find_blocks, parts
from .knownruns import KnownRuns
from .location import Location
from .objects import NotFound, ObjectStore, StorageError
from .runs import runs

_OBJECTS: Final = 1024  # whose blocks are remembered, some ten thousand octets each at most

Body: TypeAlias = bytes | memoryview
_Data = TypeVar("_Data", bytes, memoryview)


def sound(at: Location, data: _Data) -> _Data | Damaged:
    """The message, if it is what was written."""
    return data if len(data) == at.length and checksum(data) == at.checksum else Damaged()


@contextmanager
def reading() -> Iterator[None]:
    """What a bucket's failures mean to who reads a message: Expunged where the object is gone, else Unavailable."""
    try:
        yield
    except NotFound as error:
        raise Expunged from error
    except StorageError as error:
        raise Unavailable from error


class Nearby:
    """Of one pod. `peek` has messages that are in memory by chance."""

    def __init__(self, objects: ObjectStore, most: int, gap: int, peek: Callable[[str, Location], Body | None]) -> None:
        self._objects = objects
        self._most = most
        self._gap = gap
        self._peek = peek
        self._known = KnownRuns()
        self._blocks: OrderedDict[str, Blocks | None] = OrderedDict()

    async def stream(self, prefix: str, places: Sequence[Location]) -> AsyncGenerator[list[Body | Damaged], None]:
        """Whole messages, in order, some at a time. Raises Expunged, Unavailable."""
        for run in runs(places, sys.maxsize, self._gap):
            if len(run) == 1:
                yield [await self._one(prefix, run[0])]
                continue
            left = parts(run, await self._blocks_of(prefix + run[0].key), self._most)[::-1]
            while left:
                together = [left.pop()]
                first = together[0].places[0].offset
                while left and _end(left[-1]) - first <= self._most:
                    together.append(left.pop())
                yield await self._read(prefix + run[0].key, together)

    async def _one(self, prefix: str, at: Location) -> Body | Damaged:
        known = self._peek(prefix, at)
        return (
            known
            if known is not None
            else sound(at, await self._get(prefix + at.key, at.offset, at.offset + at.length))
        )

    async def _read(self, key: str, together: list[Part]) -> list[Body | Damaged]:
        first = together[0].places[0].offset
        data = memoryview(await self._get(key, first, _end(together[-1])))
        out: list[Body | Damaged] = []
        for part in together:
            start = part.places[0].offset - first
            out += self._checked(key, part, data[start : _end(part) - first])
        return out

    def _checked(self, key: str, part: Part, data: memoryview) -> list[Body | Damaged]:
        places, start = part.places, part.places[0].offset
        pieces = [data[at.offset - start : at.offset - start + at.length] for at in places]
        if part.check and check([at.checksum for at in places], [at.length for at in places], data) == part.check:
            return [*pieces]
        if len(places) == 1:
            return [sound(places[0], pieces[0])]
        tag = self._known.tag(places, data)
        if self._known.holds(key, places, tag):
            return [*pieces]
        found = list(map(sound, places, pieces))
        if not any(isinstance(each, Damaged) for each in found):
            self._known.add(key, places, tag)
        return [*found]

    async def _blocks_of(self, key: str) -> Blocks | None:
        """Raises Expunged, Unavailable."""
        if key in self._blocks:
            self._blocks.move_to_end(key)
            return self._blocks[key]
        with reading():
            head, size = await self._objects.get_head(key, LINE_BYTES)
        found = self._blocks[key] = find_blocks(head, size)
        if len(self._blocks) > _OBJECTS:
            self._blocks.popitem(last=False)
        return found

    async def _get(self, key: str, start: int, end: int) -> bytes:
        if start >= end:
            return b""
        with reading():
            return await self._objects.get_range(key, start, end)


def _end(part: Part) -> int:
    return part.places[-1].offset + part.places[-1].length
