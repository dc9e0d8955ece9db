"""Files that are there, whole, after a power cut once a call has returned. Blocking; safe to call from threads.

- A file appears at its name only after its bytes are synced; the call returns only after the name is synced too.
  (benchmarks/durable_file.py has what less would cost, and what it would not promise.)
- A name is put into a directory only when the directory's own name is durable, so a directory with anything in it
  is durable, whoever made it. Only an empty one needs its parent synced first.
- Directories are used by open descriptor: linking into one that was removed meanwhile fails, and is done again.
"""

# ruff: noqa: PTH100, PTH102, PTH106, PTH108, PTH116
# (a Path costs more than the call that it is made for)

from __future__ import annotations

import errno
import itertools
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from mailpod.store.objects import AlreadyExists, Ambiguous, Buffer, StorageError

TEMPORARY: Final = ".tmp"
_KEPT_OPEN: Final = 256  # directories
_TRIES: Final = 100  # of a directory that others keep removing
_LEFTOVER_AGE: Final = 3600.0  # seconds without a write
_VECTOR: Final = 1024  # IOV_MAX on Linux and macOS


@contextmanager
def storage_errors(*others: type[OSError]) -> Iterator[None]:
    """Turn the system's errors, but for `others`, into StorageError: for steps after which nothing is written."""
    try:
        yield
    except others:
        raise
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ValueError("a segment of the key is longer than 255 bytes") from error
        raise StorageError(str(error)) from error


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


class Temporary:
    """A file under `.tmp` that is being written. Close it with `discard`, published or not."""

    __slots__ = ("_named", "fd", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._named = True
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def write(self, data: Sequence[Buffer]) -> None:
        """Append all of `data`. Raises StorageError."""
        with storage_errors():
            for start in range(0, len(data), _VECTOR):
                batch = data[start : start + _VECTOR]
                written = os.writev(self.fd, batch)
                if written < sum(map(len, batch)):
                    _write_rest(self.fd, memoryview(b"".join(batch))[written:])

    def sync(self) -> None:
        with storage_errors():
            os.fsync(self.fd)

    def unname(self) -> None:
        """Give up the temporary name, once: a second time it might be another's."""
        if self._named:
            self._named = False
            with suppress(OSError):
                os.unlink(self.path)

    def rename(self, name: str, within: _Directory) -> None:
        os.rename(self.path, name, dst_dir_fd=within.fd)
        self._named = False

    def discard(self) -> None:
        self.unname()
        os.close(self.fd)


class DurableTree:
    """The folder `root`, which must exist. Paths are relative to it, with `/`. Several processes may share it."""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)
        self._temporary = f"{self.root}/{TEMPORARY}"
        self._process = _process()
        self._numbers = itertools.count()
        self._open: dict[str, _Directory] = {}
        self._opening = threading.Lock()
        for above in Path(self.root).parents:  # the root itself may be new
            with suppress(PermissionError):
                _sync_directory(str(above))
        Path(self._temporary).mkdir(mode=0o700, exist_ok=True)

    def temporary(self) -> Temporary:
        """A new empty file, not durable and under no final name. Raises StorageError."""
        with storage_errors():
            for _ in range(_TRIES):
                try:
                    return Temporary(f"{self._temporary}/{self._process}.{next(self._numbers)}")
                except FileExistsError:
                    continue  # a process of the same name, in another container
                except FileNotFoundError:
                    os.mkdir(self._temporary, 0o700)  # fails where the whole folder is gone, as it should
        raise StorageError("no free temporary name")

    def write(self, path: str, data: Sequence[Buffer], *, replace: bool = False) -> int:
        """Write one file. Returns its ctime in ns. Raises AlreadyExists (unless `replace`), Ambiguous, StorageError."""
        temporary = self.temporary()
        try:
            temporary.write(data)
            return self.publish(temporary, path, replace=replace)
        finally:
            temporary.discard()

    def publish(self, temporary: Temporary, path: str, *, replace: bool = False) -> int:
        """Give what was written its final name. As `write`; the caller still discards `temporary`."""
        temporary.sync()
        step = _rename if replace else _link
        directory = self._name(path, lambda name, within: step(temporary, name, within))
        try:
            temporary.unname()  # before the sync, so that one journal commit has both
            directory.sync()
            return os.fstat(temporary.fd).st_ctime_ns
        except OSError as error:
            raise Ambiguous(f"{path}: {error}") from error

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

    def clean(self, now: float) -> int:
        """Remove what dead processes left under `.tmp`; returns how many. `now` in seconds since the epoch."""
        removed = 0
        for entry in os.scandir(self._temporary):
            with suppress(OSError):
                if _is_dead(entry.name) or now - entry.stat().st_mtime > _LEFTOVER_AGE:
                    os.unlink(entry.path)
                    removed += 1
        return removed

    def close(self) -> None:
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
                os.rmdir(f"{self.root}/{folder}")
                with self._opening:
                    self._open.pop(folder, None)
                folder = folder.rpartition("/")[0]
        return folder

    def _sync_left(self, folder: str) -> None:
        """Make durable that names are gone from `folder`; or that it is gone itself, by another's hand."""
        while folder:
            with suppress(FileNotFoundError):
                _sync_directory(f"{self.root}/{folder}")
                return
            folder = folder.rpartition("/")[0]
        _sync_directory(self.root)


def _link(temporary: Temporary, name: str, within: _Directory) -> None:
    try:
        with _visible_step(name):
            os.link(temporary.path, name, dst_dir_fd=within.fd)
    except FileExistsError as error:
        if os.fstat(temporary.fd).st_nlink < 2:  # 2: it is ours, a network file system had repeated the request
            raise AlreadyExists(name) from error


def _rename(temporary: Temporary, name: str, within: _Directory) -> None:
    with _visible_step(name):
        temporary.rename(name, within)


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


def _write_rest(fd: int, rest: memoryview) -> None:
    while rest:
        rest = rest[os.write(fd, rest) :]


def _sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _process() -> str:
    """This process among all that may share the folder: machine, process namespace (a container's), id."""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        namespace = 0  # not Linux
    return f"{socket.gethostname()}.{namespace}.{os.getpid()}"


def _is_dead(name: str) -> bool:
    """Whether the process that made a temporary file of this name ran beside us and is gone."""
    maker, _, _ = name.rpartition(".")
    place, _, pid = maker.rpartition(".")
    if place != _process().rpartition(".")[0] or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # another user's
    return False
