"""Counts what the store asks of the bucket: a wrapper around any ObjectStore.

Outcomes: ok, not_found, exists, ambiguous, error. A cancelled request is counted as an error.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, TypeVar

from mailpod import metrics
from mailpod.store.objects import AlreadyExists, Ambiguous, Buffer, Entry, NotFound, ObjectStore

T = TypeVar("T")


class MeteredObjects:
    """An ObjectStore that does what `inner` does, and counts it."""

    def __init__(self, inner: ObjectStore) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        """Hints of an implementation that are not part of the interface, such as how much reading ahead helps."""
        return getattr(self.inner, name)

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        await _measured("create", self.inner.create(key, data))
        _wrote(sum(map(len, data)))

    async def put(self, key: str, data: Sequence[Buffer]) -> None:
        await _measured("put", self.inner.put(key, data))
        _wrote(sum(map(len, data)))

    async def get(self, key: str) -> bytes:
        return _read(await _measured("get", self.inner.get(key)))

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        return _read(await _measured("get_range", self.inner.get_range(key, start, end)))

    async def get_head(self, key: str, size: int) -> tuple[bytes, int]:
        data, whole = await _measured("get_head", self.inner.get_head(key, size))
        return _read(data), whole

    async def get_with_time(self, key: str) -> tuple[bytes, float]:
        data, modified = await _measured("get", self.inner.get_with_time(key))
        return _read(data), modified

    async def list_folders(self, prefix: str) -> list[str]:
        return await _measured("list", self.inner.list_folders(prefix))

    async def delete(self, keys: Sequence[str]) -> None:
        await _measured("delete", self.inner.delete(keys))

    async def upload(self, key: str, data: AsyncIterator[Buffer]) -> int:
        size = await _measured("upload", self.inner.upload(key, data))
        _wrote(size)
        return size

    async def close(self) -> None:
        await self.inner.close()

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        return await _measured("list", self.inner.list(prefix, after=after, limit=limit))


async def _measured(operation: str, request: Awaitable[T]) -> T:
    # How long something took is no time of day, and nothing is decided by it: no injected clock.
    started = time.perf_counter()
    outcome = "error"
    try:
        result = await request
        outcome = "ok"
        return result
    except NotFound:
        outcome = "not_found"
        raise
    except AlreadyExists:
        outcome = "exists"
        raise
    except Ambiguous:
        outcome = "ambiguous"
        raise
    finally:
        metrics.BUCKET_REQUESTS.labels(operation, outcome).inc()
        metrics.BUCKET_SECONDS.labels(operation).observe(time.perf_counter() - started)


def _wrote(count: int) -> None:
    metrics.BUCKET_BYTES.labels("write").inc(count)


def _read(data: bytes) -> bytes:
    metrics.BUCKET_BYTES.labels("read").inc(len(data))
    return data
