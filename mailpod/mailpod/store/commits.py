"""Commits of one account's log as they are read: the first line of each, checked, and never the bodies behind it.

- 404 is None, and means that the log ends before it; whatever else fails is Unavailable.
- A commit counts only whole: its object is as long as its first line says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

from ..errors import Unavailable
from .names import log_key
from .objects import NotFound, ObjectStore, StorageError, tells_absent
from .ops import BadCommit, Header, decode_header

Fetched: TypeAlias = tuple[bytes, int]
"""The beginning of a commit, its first line at least, and its whole size."""


class Commits:
    """Raises Unavailable."""

    def __init__(self, objects: ObjectStore, prefix: str, header_read_bytes: int) -> None:
        self._objects = objects
        self._prefix = prefix
        self._header_read_bytes = header_read_bytes
        self._is_absent = tells_absent(objects)

    async def fetch(self, sequence: int) -> Fetched | None:
        key = log_key(self._prefix, sequence)
        if self._is_absent(key):
            return None
        try:
            data, size = await self._objects.get_head(key, self._header_read_bytes)
            if b"\n" not in data and len(data) < size:
                data = await self._objects.get(key)
        except NotFound:
            return None
        except StorageError as error:
            raise Unavailable from error
        return data, size

    async def fetch_from(self, first: int, count: int) -> Sequence[Fetched | BaseException | None]:
        """Some at once; an error stands in the place of the commit that it is of."""
        if count == 1:
            try:
                return [await self.fetch(first)]
            except Unavailable as error:
                return [error]
        wanted = (self.fetch(first + number) for number in range(count))
        return await asyncio.gather(*wanted, return_exceptions=True)


def decode(fetched: Fetched) -> tuple[Header, int]:
    """The first line, and its length in octets. Raises BadCommit and UnknownOperation."""
    data, size = fetched
    end = data.find(b"\n")
    if end < 0:
        raise BadCommit("no end of line")
    header = decode_header(memoryview(data)[:end])
    if size != end + 1 + header.bytes:
        raise BadCommit(f"{size} bytes, not {end + 1 + header.bytes}")
    return header, end + 1
