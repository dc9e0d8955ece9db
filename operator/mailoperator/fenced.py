"""A bucket that the operator writes to only while it holds the Lease (OPERATOR.md rule 17).

The Lease is looked at right before each request that writes, not once before a pass of many: a process that stood still
in the middle of one, and goes on when another leads, writes nothing more. It would put back what it had read before.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from mailoperator.leader import NotLeading
from mailpod.directory import ObjectStore, StorageError


class WriteFenced(NotLeading, StorageError):
    """A write that was not sent. To the store it is a failure that may pass."""


class FencedObjects:
    """An ObjectStore that does what `inner` does; `check` raises NotLeading where nothing may be written."""

    def __init__(self, inner: ObjectStore, check: Callable[[], None]) -> None:
        self._inner, self._check = inner, check
        # what only reads is the inner one's own
        self.get, self.get_range, self.get_head = inner.get, inner.get_range, inner.get_head
        self.get_with_time, self.list, self.list_folders = inner.get_with_time, inner.list, inner.list_folders
        self.close = inner.close

    def __getattr__(self, name: str) -> Any:
        """Hints of an implementation that are not part of the interface."""
        return getattr(self._inner, name)

    async def create(self, key: str, data: Sequence[bytes | bytearray | memoryview]) -> None:
        self._fence()
        await self._inner.create(key, data)

    async def put(self, key: str, data: Sequence[bytes | bytearray | memoryview]) -> None:
        self._fence()
        await self._inner.put(key, data)

    async def delete(self, keys: Sequence[str]) -> None:
        if keys:
            self._fence()
            await self._inner.delete(keys)

    async def upload(self, key: str, data: AsyncIterator[bytes | bytearray | memoryview]) -> int:
        self._fence()
        return await self._inner.upload(key, data)

    def _fence(self) -> None:
        try:
            self._check()
        except NotLeading:
            raise WriteFenced("the Lease was lost") from None
