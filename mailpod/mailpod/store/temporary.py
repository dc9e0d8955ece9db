"""Files under `.tmp` that are being written, before they have a final name. Blocking; safe to call from threads.

- A name says which process made it, so that what a dead one left can be told from what a living one writes.
- A file system may take longer to find a place for a new file than to write it (ext4 without a journal does, for
  minutes after many files were deleted). Where making one was slow the next are made ahead, empty, by a thread; by
  turns in one of two folders, as who makes one there holds up who takes a name away from the same folder.
- One made ahead is used only while no other process would take it for a leftover.
"""

# ruff: noqa: PTH102, PTH108, PTH116
# (a Path costs more than the call that it is made for)

from __future__ import annotations

import errno
import itertools
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from mailpod.store.objects import Buffer, StorageError

TEMPORARY: Final = ".tmp"
_AHEAD_FOLDERS: Final = ("ahead.0", "ahead.1")
_AHEAD: Final = 32  # files; begins with fewer
_SLOW: Final = 0.0002  # seconds to make a file; four times what it takes on a local disk
_WHILE: Final = 256  # files that are made ahead because making one was slow; then it is seen anew
_LEFTOVER_AGE: Final = 3600.0  # seconds without a write
_AHEAD_AGE: Final = _LEFTOVER_AGE / 2
_TRIES: Final = 100  # of names
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

    def usable(self, now: float) -> bool:
        """Whether it still has its name, and is too young to be taken for a leftover."""
        status = os.fstat(self.fd)
        return status.st_nlink > 0 and abs(now - status.st_mtime) < _AHEAD_AGE

    def unname(self) -> None:
        """Give up the temporary name, once: a second time it might be another's."""
        if self._named:
            self._named = False
            with suppress(OSError):
                os.unlink(self.path)

    def rename(self, name: str, folder: int) -> None:
        """`folder`: a descriptor."""
        os.rename(self.path, name, dst_dir_fd=folder)
        self._named = False

    def discard(self) -> None:
        self.unname()
        os.close(self.fd)


class TemporaryFiles:
    """Those in the folder `root`, which must exist. `now`: seconds since the epoch, the time of files."""

    def __init__(self, root: str, now: Callable[[], float]) -> None:
        self._folder = f"{root}/{TEMPORARY}"
        self._now = now
        self._process = _process()
        self._numbers = itertools.count()
        self._ahead: deque[Temporary] = deque()
        self._wanted = 2  # files ahead, after a half of which are used the next are made
        self._more = 0  # to be made ahead
        self._folders = itertools.cycle(f"{self._folder}/{name}" for name in _AHEAD_FOLDERS)
        Path(self._folder).mkdir(mode=0o700, exist_ok=True)

    def take(self) -> Temporary:
        """An empty file, not durable and under no final name. Raises StorageError."""
        with suppress(IndexError):
            while True:
                ahead = self._ahead.popleft()
                if ahead.usable(self._now()):
                    return ahead
                ahead.discard()
        began = time.perf_counter()
        with storage_errors():
            made = self._make(self._folder)
        if time.perf_counter() - began > _SLOW:
            self._more = _WHILE
        return made

    def wants_more(self) -> bool:
        """Whether there is something to do for `make_ahead`."""
        return self._more > 0 and len(self._ahead) <= self._wanted // 2

    def make_ahead(self) -> None:
        """Files for the next calls of `take`; where none can be made, those say why. One thread at a time."""
        if not self._ahead:
            self._wanted = min(2 * self._wanted, _AHEAD)
        self._more -= self._wanted
        folder = next(self._folders)
        with suppress(OSError, StorageError):
            for _ in range(self._wanted):
                self._ahead.append(self._make(folder))

    def _make(self, folder: str) -> Temporary:
        for _ in range(_TRIES):
            try:
                return Temporary(f"{folder}/{self._process}.{next(self._numbers)}")
            except FileExistsError:
                continue  # a process of the same name, in another container
            except FileNotFoundError:
                for missing in dict.fromkeys((self._folder, folder)):
                    with suppress(FileExistsError):
                        os.mkdir(missing, 0o700)  # fails where the whole folder is gone, as it should
        raise StorageError("no free temporary name")

    def clean(self, now: float) -> int:
        """Remove what dead processes left; returns how many. `now` in seconds since the epoch."""
        removed = 0
        for folder in (self._folder, *(f"{self._folder}/{name}" for name in _AHEAD_FOLDERS)):
            with suppress(FileNotFoundError):
                removed += sum(_remove_leftover(entry, now) for entry in os.scandir(folder))
        return removed

    def close(self) -> None:
        """Take those made ahead away."""
        while self._ahead:
            self._ahead.popleft().discard()


def _remove_leftover(entry: os.DirEntry[str], now: float) -> bool:
    with suppress(OSError):
        if entry.is_file() and (_is_dead(entry.name) or now - entry.stat().st_mtime > _LEFTOVER_AGE):
            os.unlink(entry.path)
            return True
    return False


def _write_rest(fd: int, rest: memoryview) -> None:
    while rest:
        rest = rest[os.write(fd, rest) :]


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
