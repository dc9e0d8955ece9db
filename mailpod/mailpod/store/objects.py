"""The bucket as the store sees it: six calls, and one that decides, `create`.

Correctness rests on `create` alone: of any number of creators of one key exactly one returns. An implementation
returns from `create` and `put` only when the object is durable (on a folder: file and directory are fsynced).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview


class NotFound(Exception):
    """No object at this key."""


class AlreadyExists(Exception):
    """`create` found an object at this key; it is certain that ours was not written by this call."""


class Ambiguous(Exception):
    """A timeout, a cut connection, S3's 409: a write may or may not have happened, or may yet (STORE.md rule 4)."""


class StorageError(Exception):
    """A read, or a write that certainly did not happen, failed for a reason that may pass."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object in a listing. `modified` is the store's own time, in seconds since the epoch.

    `tag` differs where the content does (S3's ETag, without quotes); "" where the store has none.
    """

    key: str
    size: int
    modified: float
    tag: str = ""


class ObjectStore(Protocol):
    """Keys are `/`-separated, of the bytes that names.py makes. Listings are in ascending byte order of keys."""

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        """Write the concatenation of `data` if nothing is at `key`.

        Raises AlreadyExists, Ambiguous, or StorageError (certainly not written).
        """

    async def put(self, key: str, data: Sequence[Buffer]) -> None:
        """Write, replacing what is there, atomically for readers. Raises Ambiguous or StorageError."""

    async def get(self, key: str) -> bytes:
        """The whole object. Raises NotFound or StorageError."""

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        """Bytes start to end (exclusive), cut at the object's end. Raises NotFound or StorageError."""

    async def get_head(self, key: str, size: int) -> tuple[bytes, int]:
        """The first `size` bytes (or fewer), and the object's whole size. Raises NotFound or StorageError."""

    async def get_with_time(self, key: str) -> tuple[bytes, float]:
        """The whole object and its modification time, the store's own. Raises NotFound or StorageError."""

    async def list_folders(self, prefix: str) -> list[str]:
        """The distinct next segments under `prefix` (S3's common prefixes), without the trailing `/`."""

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        """Objects whose key starts with `prefix` (which ends with `/`), beginning after the key `after`."""

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete; a key that is not there is not an error."""

    async def upload(self, key: str, data: AsyncIterator[Buffer]) -> int:
        """Create a large object as it arrives (multipart); returns its size. Raises as `create`. Nothing is left
        behind at `key` if the iterator raises."""

    async def close(self) -> None: ...


def reads_at_once(objects: ObjectStore, most: int) -> int:
    """How many reads are worth doing at once for one client, at most `most`: one where it is no way to the data."""
    return min(most, getattr(objects, "read_ahead", most))


def tells_absent(objects: ObjectStore) -> Callable[[str], bool]:
    """What says, as of the call, that there is certainly no object at a key, without asking for it; False: ask."""
    tells: Callable[[str], bool] = getattr(objects, "is_absent", _is_never_sure)
    return tells


def _is_never_sure(key: str) -> bool:
    return False
