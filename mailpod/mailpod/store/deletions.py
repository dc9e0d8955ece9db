"""Deletions of single objects, together: those that come while one request is under way are the next one's.

Each caller returns when its own object is gone, or is told that it may not be.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from mailpod.errors import Unavailable
from mailpod.store.objects import Ambiguous, ObjectStore, StorageError


@dataclass(slots=True)
class _Request:
    keys: list[str] = field(default_factory=list)
    begun: bool = False
    gone: bool = False


class Deletions:
    """One request at a time, by whoever is there first when the one before it ends."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._turn = asyncio.Lock()
        self._next = _Request()

    async def delete(self, key: str) -> None:
        """Raises Unavailable."""
        request = self._next
        request.keys.append(key)
        async with self._turn:
            if not request.begun:
                request.begun, self._next = True, _Request()
                await self._send(request)
        if not request.gone:  # who sent it may have been cancelled
            raise Unavailable

    async def _send(self, request: _Request) -> None:
        try:
            await self._objects.delete(request.keys)
        except (StorageError, Ambiguous) as error:
            raise Unavailable from error
        request.gone = True
