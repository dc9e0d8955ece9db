"""The bucket itself: each object is there or not, at one instant of virtual time, whoever asks."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable

from mailpod.store.objects import Entry

EPOCH = 1_700_000_000.0  # bucket time when virtual time is 0


class Bucket:
    """`created` and `deleting` are told of each change as it happens, and raise what must not be."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.objects: dict[str, tuple[bytes, float]] = {}
        self._entries: dict[str, Entry] = {}
        self.keys: list[str] = []
        self.graves: list[object] = []  # what the dead wait for
        self.created: Callable[[str, bytes], None] = lambda key, data: None
        self.deleting: Callable[[str], None] = lambda key: None

    def create(self, key: str, data: bytes) -> bool:
        """False where an object is at `key`."""
        if key in self.objects:
            return False
        self.put(key, data)
        self.created(key, data)
        return True

    def put(self, key: str, data: bytes) -> None:
        if key not in self.objects:
            insort(self.keys, key)
        self.objects[key] = (data, EPOCH + self._now())
        self._entries[key] = Entry(key, len(data), EPOCH + self._now())

    def delete(self, key: str) -> None:
        if key in self.objects:
            self.deleting(key)
            del self.objects[key]
            del self.keys[bisect_left(self.keys, key)]

    def get(self, key: str) -> bytes | None:
        found = self.objects.get(key)
        return found[0] if found else None

    def under(self, prefix: str) -> list[str]:
        """Keys that begin with `prefix`, ascending."""
        return self.keys[bisect_left(self.keys, prefix) : bisect_left(self.keys, _after(prefix))]

    def list(self, prefix: str, after: str = "", limit: int | None = None) -> list[Entry]:
        start = max(bisect_left(self.keys, prefix), bisect_right(self.keys, after) if after else 0)
        end = bisect_left(self.keys, _after(prefix))
        return [self._entries[key] for key in self.keys[start : end if limit is None else min(end, start + limit)]]


def _after(prefix: str) -> str:
    """The first key that no longer begins with `prefix`."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
