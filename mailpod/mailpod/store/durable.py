"""Files that are there, whole, after a power cut once a call has returned. Blocking; safe to call from threads.

- A file appears at its name only after its bytes are synced; the call returns only after the name is synced too.
  (benchmarks/durable_file.py has what less would cost, and what it would not promise.)
- A name is put into a directory only when the directory's own name is durable, so a directory with anything in it
  is durable, whoever made it. Only an empty one needs its parent synced first.
- Directories are used by open descriptor: linking into one that was removed meanwhile fails, and is done again.
"""

# ruff: noqa: PTH100, PTH106, PTH108
# (a Path costs more than the call that it is made for)

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from mailpod.store.objects import AlreadyExists, Ambiguous, Buffer, StorageError
from mailpod.store.temporary import Temporary, TemporaryFiles, storage_errors

_KEPT_OPEN: Final = 256  # directories
_POLL: Final = 0.002  # seconds between looks whether a directory is free
_TRIES: Final = 100  # of a directory that others keep removing


class Busy(Exception):
    """Another thread or process holds what would have to be waited for."""


class _Directory:
    """An open directory; closed when the last user lets go of it."""

    __slots__ = ("fd",)

    def __init__(self, path: str, *, within: _Directory | None = None) -> None:
        self.fd = -1
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY, dir_fd=None if within is None else within.fd)

    def __del__(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)

    def sync(self) -> None:
        os.fsync(self.fd)

    def empty(self) -> bool:
        with os.scandir(self.fd) as entries:
            return next(entries, None) is None


class DurableTree:
    """The folder `root`, which must exist. Paths are relative to it, with `/`. Several processes may share it.

    `now`: seconds since the epoch, the time of files.
    """

    def __init__(self, root: str, now: Callable[[], float] = time.time) -> None:
        self.root = os.path.abspath(root)
        self._open: dict[str, _Directory] = {}
        self._opening = threading.Lock()
        for above in Path(self.root).parents:  # the root itself may be new
            with suppress(PermissionError):
                _sync_directory(str(above))
        self.temporary = TemporaryFiles(self.root, now)

    def write(self, path: str, data: Sequence[Buffer], *, replace: bool = False) -> int:
        """Write one file. Returns its ctime in ns. Raises AlreadyExists (unless `replace`), Ambiguous, StorageError."""
        temporary = self.temporary.take()
        try:
            temporary.write(data)
            return self.publish(temporary, path, replace=replace)
        finally:
            temporary.discard()

    def publish(self, temporary: Temporary, path: str, *, replace: bool = False, last: bool = True) -> int:
        """Give what was written its final name. As `write`; the caller still discards `temporary`.

        Not the `last` of several: the caller syncs their names.
        """
        temporary.sync()
        step = _rename if replace else _link
        directory = self._name(path, lambda name, within: step(temporary, name, within))
        try:
            temporary.unname()  # before the sync, so that one journal commit has both
            if last:
                directory.sync()
            return os.fstat(temporary.fd).st_ctime_ns
        except OSError as error:
            raise Ambiguous(f"{path}: {error}") from error

    @contextmanager
    def locked(self, folder: str, patience: float) -> Iterator[None]:
        """Alone among the processes that lock `folder`, which is made if it is missing.

        Raises Busy where it is not free after `patience` in seconds.
        """
        directory = self._free(folder, patience)
        try:
            yield
        finally:
            fcntl.flock(directory.fd, fcntl.LOCK_UN)

    def sync_names(self, folder: str) -> None:
        """Make durable the names that are in `folder` now. Raises StorageError."""
        with storage_errors():
            _sync_directory(f"{self.root}/{folder}")

    def remove(self, paths: Sequence[str]) -> None:
        """Unlink files, durably, and the directories that this empties. Raises StorageError."""
        with storage_errors():
            folders: dict[str, None] = {}
            for path in paths:
                with suppress(FileNotFoundError, NotADirectoryError):
                    os.unlink(f"{self.root}/{path}")
                    folders[path.rpartition("/")[0]] = None
            for left in dict.fromkeys(map(self._prune, folders)):  # and what is gone takes all under it along
                self._sync_left(left)

    def close(self) -> None:
        """Nobody writes any more."""
        self.temporary.close()
        with self._opening:
            self._open.clear()

    def _name(self, path: str, step: Callable[[str, _Directory], None]) -> _Directory:
        """Do `step` in the durable directory of `path`, making it where it is missing; returns the directory."""
        folder, _, name = path.rpartition("/")
        for _ in range(_TRIES):
            try:
                with storage_errors(FileNotFoundError):
                    directory = self._directory(folder)
                step(name, directory)
                return directory
            except FileNotFoundError:
                self._let_go(folder)  # it, or one above it, was removed while we held it
        raise StorageError(f"{path}: its directory, or the temporary file, vanishes again and again")

    def _free(self, folder: str, patience: float) -> _Directory:
        until = time.monotonic() + patience
        for _ in range(_TRIES):
            with suppress(FileNotFoundError):
                with storage_errors(FileNotFoundError):
                    directory = self._directory(folder)
                while not _lock(directory):
                    if time.monotonic() >= until:
                        raise Busy
                    time.sleep(_POLL)
                if os.fstat(directory.fd).st_nlink:
                    return directory
                fcntl.flock(directory.fd, fcntl.LOCK_UN)
            self._let_go(folder)
        raise StorageError(f"{folder}: vanishes again and again")

    def _directory(self, folder: str) -> _Directory:
        with self._opening:
            directory = self._open.pop(folder, None)
            if directory is not None:
                self._open[folder] = directory  # the most recently used is last
                return directory
        directory = self._enter(folder)
        with self._opening:
            self._open[folder] = directory
            while len(self._open) > _KEPT_OPEN:
                del self._open[next(iter(self._open))]
        return directory

    def _enter(self, folder: str) -> _Directory:
        """Open `folder`, made and durable. Raises FileNotFoundError where another process removes it meanwhile."""
        if not folder:
            return _Directory(self.root)
        above, _, name = folder.rpartition("/")
        try:
            directory = _Directory(f"{self.root}/{folder}")
        except FileNotFoundError:
            parent = self._directory(above)  # one that was removed takes no name
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=parent.fd)
            directory = _Directory(name, within=parent)
            parent.sync()
            return directory
        if directory.empty():
            self._enter(above).sync()
        return directory

    def _let_go(self, folder: str) -> None:
        """Of its descriptor, and of those of all above it."""
        with self._opening:
            while folder:
                self._open.pop(folder, None)
                folder = folder.rpartition("/")[0]
            self._open.pop(folder, None)

    def _prune(self, folder: str) -> str:
        """Remove the directories that are empty, from `folder` upwards. Returns the first that is not."""
        with suppress(OSError):  # not empty, or another was faster
            while folder:
                self._remove_directory(folder)
                with self._opening:
                    self._open.pop(folder, None)
                folder = folder.rpartition("/")[0]
        return folder

    def _remove_directory(self, folder: str) -> None:
        """Raises OSError where something is in it, or somebody has locked it."""
        directory = _Directory(f"{self.root}/{folder}")
        if not _lock(directory):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), folder)
        os.rmdir(f"{self.root}/{folder}")

    def _sync_left(self, folder: str) -> None:
        """Make durable that names are gone from `folder`; or that it is gone itself, by another's hand."""
        while folder:
            with suppress(FileNotFoundError):
                _sync_directory(f"{self.root}/{folder}")
                return
            folder = folder.rpartition("/")[0]
        _sync_directory(self.root)


def _lock(directory: _Directory) -> bool:
    try:
        fcntl.flock(directory.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _link(temporary: Temporary, name: str, within: _Directory) -> None:
    try:
        with _visible_step(name):
            os.link(temporary.path, name, dst_dir_fd=within.fd)
    except FileExistsError as error:
        if os.fstat(temporary.fd).st_nlink < 2:  # 2: it is ours, a network file system had repeated the request
            raise AlreadyExists(name) from error


def _rename(temporary: Temporary, name: str, within: _Directory) -> None:
    with _visible_step(name):
        temporary.rename(name, within.fd)


@contextmanager
def _visible_step(name: str) -> Iterator[None]:
    """The one step that makes a file visible: it happened, it did not, or the disk failed and it may have."""
    with storage_errors(FileNotFoundError, FileExistsError):
        try:
            yield
        except OSError as error:
            if error.errno == errno.EIO:
                raise Ambiguous(f"{name}: {error}") from error
            raise


def _sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
