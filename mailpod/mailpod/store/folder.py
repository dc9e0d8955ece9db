"""A bucket that is a plain folder: the embedded default. A key is the path of one file under it.

- What a call acknowledged, and whatever was read, survives a power cut: durable.py writes, and a file so young
  that its writer may not have synced its name yet is made durable before it is handed out.
- Files never change at their names: they are linked once, or replaced whole by a rename.
- Top-level names that begin with `.` (`.local`, `.tmp`) are not part of the bucket; `.mailpod` is, and is listed only
  by its name.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from stat import S_ISREG
from typing import Final, TypeVar

from mailpod.clock import Clock, SystemClock
from mailpod.store.begun import Begun, Completed, write_at
from mailpod.store.durable import DurableTree
from mailpod.store.folder_listing import TooMany, entries, folders
from mailpod.store.objects import Buffer, Entry, NotFound, StorageError
from mailpod.store.temporary import Temporary, storage_errors

T = TypeVar("T")

# hidden at the top (but for `.mailpod`); empty, `.` and `..` anywhere
_FORBIDDEN: Final = re.compile(r"^\.(?!mailpod(?:/|\Z))|(?:^|/)\.{0,2}(?:/|\Z)|\0")
_THREADS: Final = 8
_LARGE: Final = 1 << 20  # bytes: from here on, reading or writing the page cache is work for a thread
_SLOW: Final = 0.002  # seconds: a disk whose writes take longer must not hold up the event loop
_YOUNG: Final = 60.0  # seconds; far longer than a writer needs between linking a file and syncing its name
_COARSE: Final = 0.05  # seconds that the clock of files may be behind
_REMEMBERED: Final = 4096  # young files known to be durable
_READS_A_TURN: Final = 32  # reads here in the loop's thread, after which others get a turn
_INLINE_ENTRIES: Final = 256  # a longer listing is work for a thread


class FolderObjects:
    """ObjectStore in the folder `root`, which is made if it is missing. Several processes may share it.

    Opening it blocks for some milliseconds, and raises OSError where the folder cannot be written.
    """

    read_ahead = 1
    """Bodies that are worth reading at once for one client: a read is done where it is asked for."""
    run_bytes = 512 << 10
    """Of messages that lie together: what is read at once is checked and sent while the processor still has it."""

    def __init__(self, root: str | Path, *, clock: Clock | None = None) -> None:
        Path(root).mkdir(parents=True, exist_ok=True, mode=0o700)
        self._clock = clock or SystemClock()
        self._tree = DurableTree(str(root), self._clock.now)
        self._tree.temporary.clean(self._clock.now())
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="folder")
        self._reads = 0
        self._writing = 0  # writes begun and not finished
        self._last_write = 0.0  # seconds that it took
        self._making: asyncio.Future[None] | None = None  # files for the next ones
        self._closing = False
        self._synced: dict[str, float] = {}  # folder: when the last sync of its names began, by the clock of files
        self._durable: dict[str, int] = {}  # key: ctime in ns of the file known to be durable there

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        path = _path(key)
        write, size = partial(self._tree.write, path, data), sum(map(len, data))
        if isinstance(data, Completed) and (temporary := await data.begun.take()) is not None:
            write, size = partial(self._complete, temporary, path, data[0]), len(data[0])
        self._remember(key, await self._write(write, size))

    def begin(self, data: Sequence[Buffer], room: int) -> Begun:
        """An object whose first `room` octets are not known yet (begun.py)."""
        return Begun(self._threads, self._tree.temporary.take, data, room)

    async def put(self, key: str, data: Sequence[Buffer]) -> None:
        write = partial(self._tree.write, _path(key), data, replace=True)
        self._remember(key, await self._write(write, sum(map(len, data))))

    async def get(self, key: str) -> bytes:
        return (await self._read(key, 0, None))[0]

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        return (await self._read(key, start, end))[0]

    async def get_head(self, key: str, size: int) -> tuple[bytes, int]:
        data, status = await self._read(key, 0, size)
        return data, status.st_size

    async def get_with_time(self, key: str) -> tuple[bytes, float]:
        data, status = await self._read(key, 0, None)
        return data, status.st_mtime

    async def list_folders(self, prefix: str) -> list[str]:
        return await self._walk(partial(folders, self._tree.root, _folder(prefix)))

    async def delete(self, keys: Sequence[str]) -> None:
        if keys:
            await self._write(partial(self._tree.remove, [_path(key) for key in keys]), 0)

    async def upload(self, key: str, data: AsyncIterator[Buffer]) -> int:
        path = _path(key)
        temporary = await self._in_thread(self._tree.temporary.take)
        try:
            size = await self._fill(temporary, data)
            self._remember(key, await self._in_thread(partial(self._tree.publish, temporary, path)))
            return size
        finally:
            temporary.discard()

    async def close(self) -> None:
        """Wait for writes under way, and let go of threads and descriptors."""
        self._closing = True
        await asyncio.to_thread(self._threads.shutdown)
        self._tree.close()

    async def _write(self, write: Callable[[], T], size: int) -> T:
        """Run a write here if it is the only one, else in a thread, where several wait for the disk together.

        Measured: a hop to a thread costs a lone write a quarter of its time; with 20 in flight threads double the rate.
        """
        self._writing += 1
        try:
            await asyncio.sleep(0)  # others that are ready now come forward
            if self._writing > 1 or size > _LARGE or self._last_write > _SLOW:
                return await self._in_thread(partial(self._timed, write))
            return self._timed(write)
        finally:
            self._writing -= 1
            if not self._writing and self._tree.temporary.wants_more():
                self._make_ahead()

    @property
    def is_making_ahead(self) -> bool:
        """Whether a thread makes files for the writes that come."""
        return self._making is not None and not self._making.done()

    def _make_ahead(self) -> None:
        if not self._closing and not self.is_making_ahead:
            make = self._tree.temporary.make_ahead
            self._making = asyncio.get_running_loop().run_in_executor(self._threads, make)

    def _complete(self, temporary: Temporary, path: str, start: Buffer) -> int:
        try:
            write_at(temporary, 0, [start])
            return self._tree.publish(temporary, path)
        finally:
            temporary.discard()

    def _timed(self, write: Callable[[], T]) -> T:
        began = self._clock.elapsed()
        try:
            return write()
        finally:
            self._last_write = self._clock.elapsed() - began

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread. A cancelled caller still waits for its end: what it uses may be closed after that."""
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            while not future.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([future])
            if not future.cancelled():
                future.exception()  # the caller is told that it was cancelled, nothing else
            raise

    async def _fill(self, temporary: Temporary, data: AsyncIterator[Buffer]) -> int:
        size = waiting = 0
        pieces: list[Buffer] = []
        async for piece in data:
            pieces.append(bytes(piece))  # the iterator may use its buffer again
            waiting += len(piece)
            if waiting >= _LARGE:
                await self._in_thread(partial(temporary.write, pieces))
                size, waiting, pieces = size + waiting, 0, []
        await self._in_thread(partial(temporary.write, pieces))
        return size + waiting

    async def _read(self, key: str, start: int, end: int | None) -> tuple[bytes, os.stat_result]:
        path = _path(key)
        self._reads += 1
        if self._reads % _READS_A_TURN == 0:
            await asyncio.sleep(0)
        fd = _open(f"{self._tree.root}/{path}", key)
        try:
            status = os.fstat(fd)
            if not S_ISREG(status.st_mode):
                raise NotFound(key)
            if status.st_ctime > self._clock.now() - _YOUNG and self._durable.get(key) != status.st_ctime_ns:
                await self._sync_names(path.rpartition("/")[0], status.st_ctime)
            length = (status.st_size if end is None else min(end, status.st_size)) - start
            if length < _LARGE:
                return _pread(fd, length, start), status
            return await self._in_thread(partial(_pread, fd, length, start)), status
        finally:
            os.close(fd)

    async def _sync_names(self, folder: str, since: float) -> None:
        """Make a name that was made at `since` durable: a sync that began later, this one or an earlier, does it."""
        if since + _COARSE < self._synced.get(folder, 0.0):
            return
        began = self._clock.now()
        await self._write(partial(self._tree.sync_names, folder), 0)
        self._synced.pop(folder, None)
        self._synced[folder] = began
        if len(self._synced) > _REMEMBERED:
            del self._synced[next(iter(self._synced))]

    def _remember(self, key: str, ctime: int) -> None:
        self._durable[key] = ctime
        if len(self._durable) > _REMEMBERED:
            del self._durable[next(iter(self._durable))]

    async def _walk(self, walk: Callable[[int | None], T]) -> T:
        with storage_errors():
            try:
                return walk(_INLINE_ENTRIES)
            except TooMany:
                return await self._in_thread(partial(walk, None))

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        return await self._walk(partial(entries, self._tree.root, _folder(prefix), after, limit))


def _path(key: str) -> str:
    """The path of a key under the root, which is the key itself. Raises ValueError for what cannot be one."""
    if _FORBIDDEN.search(key):
        raise ValueError(f"not a key: {key!r}")
    return key


def _folder(prefix: str) -> str:
    """The path, without the final slash, of the folder that a listing's prefix names."""
    if not prefix:
        return ""
    if not prefix.endswith("/"):
        raise ValueError(f"a prefix ends with a slash: {prefix!r}")
    return _path(prefix[:-1])


def _open(path: str, key: str) -> int:
    try:
        return os.open(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(key) from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise NotFound(key) from None
        raise StorageError(str(error)) from error


def _pread(fd: int, length: int, start: int) -> bytes:
    if length <= 0:
        return b""
    with storage_errors():
        data = os.pread(fd, length, start)
        while len(data) < length:  # more than the system gives at once
            more = os.pread(fd, length - len(data), start + len(data))
            if not more:
                raise StorageError("the file is shorter than it was")
            data += more
        return data
