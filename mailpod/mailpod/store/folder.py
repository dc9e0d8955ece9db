"""A bucket that is a plain folder: the embedded default. A key is the path of one file under it.

- What a call acknowledged, and whatever was read, survives a power cut: durable.py writes, and a file so young
  that its writer may not have synced its name yet is made durable before it is handed out.
- Files never change at their names: they are linked once, or replaced whole by a rename.
- Of a log that gets many commits, small ones are in its journal for a moment (journals.py).
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
from mailpod.store.absent import Absent
from mailpod.store.begun import Begun, Completed, write_at
from mailpod.store.durable import Busy, DurableTree
from mailpod.store.folder_listing import TooMany, entries, folders
from mailpod.store.journal_file import NAME, Found, JournalFile
from mailpod.store.journals import LOG, Journals
from mailpod.store.objects import Buffer, Entry, NotFound, StorageError
from mailpod.store.temporary import Temporary, storage_errors

T = TypeVar("T")

# hidden at the top (but for `.mailpod`); empty, `.` and `..` anywhere
_FORBIDDEN: Final = re.compile(r"^\.(?!mailpod(?:/|\Z))|(?:^|/)(?:\.{0,2}|log/\.journal)(?:/|\Z)|\0")
_THREADS: Final = 8
_LARGE: Final = 1 << 20  # bytes: from here on, reading or writing the page cache is work for a thread
_SLOW: Final = 0.002  # seconds: a disk whose writes take longer must not hold up the event loop
_YOUNG: Final = 60.0  # seconds; far longer than a writer needs between linking a file and syncing its name
_COARSE: Final = 0.05  # seconds that the clock of files may be behind
_REMEMBERED: Final = 4096  # young files known to be durable
_READS_A_TURN: Final = 32  # reads here in the loop's thread, after which others get a turn
_QUIET: Final = 1.0  # seconds without a commit after which a log's journal is settled
_IDLE: Final = 10.0  # seconds after which it is looked for such logs, where there were none
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
        self._journals = Journals(self._tree, self._clock.elapsed, self._clock.now)
        self._absent = Absent(str(root), self._clock.now)
        self._settling: asyncio.Future[None] | None = None
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
        if isinstance(data, Completed) and (temporary := await data.begun.take()) is not None:
            try:
                await self._publish(key, path, partial(self._complete, temporary, path, data[0]), (), len(data[0]))
            finally:
                temporary.discard()
        else:
            await self._publish(key, path, partial(self._tree.write, path, data), data, sum(map(len, data)))

    def begin(self, data: Sequence[Buffer], room: int) -> Begun:
        """An object whose first `room` octets are not known yet (begun.py)."""
        return Begun(self._threads, self._tree.temporary.take, data, room)

    async def put(self, key: str, data: Sequence[Buffer]) -> None:
        await self._settle([key])
        write = partial(self._tree.write, _path(key), data, replace=True)
        self._remember(key, await self._write(write, sum(map(len, data))))

    async def get(self, key: str) -> bytes:
        return (await self._read(key, 0, None))[0]

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        return (await self._read(key, start, end))[0]

    async def get_head(self, key: str, size: int) -> tuple[bytes, int]:
        data, whole, _ = await self._read(key, 0, size)
        return data, whole

    def is_absent(self, key: str) -> bool:
        """Whether a log has no such commit, by what was looked for last: one look at the folder's time."""
        if not self._journals.writes or (log := LOG.fullmatch(key)) is None:
            return False
        folder, name = log.groups()
        absent = self._absent.known(folder, self._absent.mark(folder))
        return name in absent and NAME in absent

    async def get_with_time(self, key: str) -> tuple[bytes, float]:
        data, _, modified = await self._read(key, 0, None)
        return data, modified

    async def list_folders(self, prefix: str) -> list[str]:
        return await self._walk(partial(folders, self._tree.root, _folder(prefix)))

    async def delete(self, keys: Sequence[str]) -> None:
        if keys:
            await self._settle(keys)
            await self._write(partial(self._tree.remove, [_path(key) for key in keys]), 0)

    async def upload(self, key: str, data: AsyncIterator[Buffer]) -> int:
        path = _path(key)
        await self._settle([key])
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
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.wait([self._settling])
        await self._in_thread(partial(self._journals.settle_quiet, 0.0))
        await asyncio.to_thread(self._threads.shutdown)
        self._tree.close()

    async def _publish(self, key: str, path: str, write: Callable[[], int], data: Sequence[Buffer], size: int) -> None:
        if LOG.fullmatch(path):
            publish = partial(self._journals.publish, path, write, data)
            try:
                ctime = await self._write(partial(publish, wait=False), size)
            except Busy:
                ctime = await self._in_thread(publish)
            self._settle_later()
        else:
            ctime = await self._write(write, size)
        if ctime:
            self._remember(key, ctime)

    async def _settle(self, keys: Sequence[str]) -> None:
        """What is to be changed or deleted has a file of its own."""
        folders = {match[1]: None for key in keys if (match := LOG.fullmatch(_path(key)))}
        if folders:
            await self._in_thread(partial(self._journals.remove, tuple(folders)))

    def _settle_later(self) -> None:
        """Journals, once they are quiet."""
        if self._journals.waiting and self._settling is None and not self._closing:
            self._settling = asyncio.ensure_future(self._settle_quiet())

    async def _settle_quiet(self) -> None:
        try:
            while self._journals.waiting or self._journals.settled:
                await self._clock.sleep(_QUIET / 2 if self._journals.waiting else _IDLE)
                await self._in_thread(partial(self._journals.settle_quiet, _QUIET))
        finally:
            self._settling = None

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
        write_at(temporary, 0, [start])
        return self._tree.publish(temporary, path)

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

    async def _read(self, key: str, start: int, end: int | None) -> tuple[bytes, int, float]:
        """The octets, the whole size, and the time of the change in seconds since the epoch."""
        path = _path(key)
        self._reads += 1
        if self._reads % _READS_A_TURN == 0:
            await asyncio.sleep(0)
        if (log := LOG.fullmatch(path)) is None:
            return await self._read_file(path, start, end)
        folder, name = log.groups()
        mark = self._absent.mark(folder) if self._journals.writes else 0
        absent = self._absent.known(folder, mark)
        if NAME not in absent and (found := await self._in_journal(path)) is not None:
            journal, record = found
            with storage_errors():
                read = journal.read(record, start, record.length if end is None else end)
            return read, record.length, record.time / 1e9
        if name in absent and (NAME in absent or self._absent.mark(folder) == mark):  # not moved to a file meanwhile
            raise NotFound(key)
        try:
            return await self._read_file(path, start, end)
        except NotFound:
            self._absent.note(folder, mark, name, *((NAME,) if self._journals.has_none(folder) else ()))
            raise

    async def _read_file(self, key: str, start: int, end: int | None) -> tuple[bytes, int, float]:
        fd = _open(f"{self._tree.root}/{key}", key)
        try:
            status = os.fstat(fd)
            if not S_ISREG(status.st_mode):
                raise NotFound(key)
            if status.st_ctime > self._clock.now() - _YOUNG and self._durable.get(key) != status.st_ctime_ns:
                await self._sync_names(key.rpartition("/")[0], status.st_ctime)
            length = (status.st_size if end is None else min(end, status.st_size)) - start
            if length < _LARGE:
                return _pread(fd, length, start), status.st_size, status.st_mtime
            return await self._in_thread(partial(_pread, fd, length, start)), status.st_size, status.st_mtime
        finally:
            os.close(fd)

    async def _in_journal(self, path: str) -> tuple[JournalFile, Found] | None:
        try:
            found = self._journals.find(path, wait=False)
        except Busy:
            found = await self._in_thread(partial(self._journals.find, path))
        self._settle_later()
        return found

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
