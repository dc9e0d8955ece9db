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
        await _measured("create", key, self.inner.create(key, data))
        _wrote(key, sum(map(len, data)))

    async def put(self, key: str, data: Sequence[Buffer]) -> None:
        await _measured("put", key, self.inner.put(key, data))
        _wrote(key, sum(map(len, data)))

    async def get(self, key: str) -> bytes:
        return _read(key, await _measured("get", key, self.inner.get(key)))

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        return _read(key, await _measured("get_range", key, self.inner.get_range(key, start, end)))

    async def get_head(self, key: str, size: int) -> tuple[bytes, int]:
        data, whole = await _measured("get_head", key, self.inner.get_head(key, size))
        return _read(key, data), whole

    async def get_with_time(self, key: str) -> tuple[bytes, float]:
        data, modified = await _measured("get", key, self.inner.get_with_time(key))
        return _read(key, data), modified

    async def list_folders(self, prefix: str) -> list[str]:
        return await _measured("list", prefix, self.inner.list_folders(prefix))

    async def delete(self, keys: Sequence[str]) -> None:
        await _measured("delete", keys[0] if keys else "", self.inner.delete(keys))

    async def upload(self, key: str, data: AsyncIterator[Buffer]) -> int:
        size = await _measured("upload", key, self.inner.upload(key, data))
        _wrote(key, size)
        return size

    async def close(self) -> None:
        await self.inner.close()

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        return await _measured("list", prefix, self.inner.list(prefix, after=after, limit=limit))


async def _measured(operation: str, key: str, request: Awaitable[T]) -> T:
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
        domain = "" if outcome == "not_found" and key.startswith("directory/") else domain_of(key)
        metrics.bucket_requests(operation, outcome, domain).inc()
        metrics.bucket_seconds(operation).observe(time.perf_counter() - started)


def domain_of(key: str) -> str:
    """The domain whose object it is; "" for the queue's and the bucket's own.

    What clients ask for and is not in the directory counts as "", lest strangers make labels by inventing domains.
    """
    kind, _, rest = key.partition("/")
    return rest.partition("/")[0] if kind in ("accounts", "directory") else ""


def _wrote(key: str, count: int) -> None:
    metrics.bucket_bytes("write", domain_of(key)).inc(count)


def _read(key: str, data: bytes) -> bytes:
    metrics.bucket_bytes("read", domain_of(key)).inc(len(data))
    return data
