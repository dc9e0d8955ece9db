"""Commits that come quickly to one log, kept in its journal (journal_file.py) until it is quiet. Blocking; for threads.

- A new file costs two syncs, and a place in the file system; a record of a journal costs one sync. So where a log gets
  commits one soon after the other, small ones go to its journal. Once it is quiet, or the journal is full, they are
  *settled*: each gets the file that its key names, too.
- The journal itself stays until nothing came to it for longer than it takes to copy a folder: who copies one that is in
  use has each commit either as a file or in the journal that he saw.
- Who creates in a log holds its lock, a flock of its directory, so that a key is taken in one of the two places only.
- A reader looks into the journal before it looks for the file, as records go from there to files and never back.
- Settling changes no octet and no time, and holds a lock of the journal itself. Before a commit is deleted its journal
  is removed, and what has lost its name is not settled again: so it does not come back.
- Only where processes that share the folder are sure to see at once what another wrote: not on a network file system.
"""

# ruff: noqa: PTH108, PTH116
# (a Path costs more than the call that it is made for)

from __future__ import annotations

import fcntl
import os
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from mailpod.store.durable import Busy, DurableTree
from mailpod.store.journal_file import NAME, SALT, Found, JournalFile, new
from mailpod.store.objects import AlreadyExists, Ambiguous, Buffer, StorageError
from mailpod.store.temporary import storage_errors

LOG: Final = re.compile(r"((?:.+/)?log)/(\d{20})")
_LOCAL: Final = {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"}
_SMALL: Final = 128 << 10  # octets: a larger commit gains nothing
_MOST: Final = 4096  # records; with more, settling and the finding of records take long
_MOST_BYTES: Final = 64 << 20
_BURST: Final = 2  # commits, each so soon after the one before, after which they go to a journal
_SOON: Final = 0.1  # seconds
_KEEP: Final = 900.0  # seconds that a journal stays after the last of it was settled
_KEPT: Final = 256  # logs
_PATIENCE: Final = 10.0  # seconds that another process may hold a log's lock


class _Log:
    """What this process knows of one log."""

    __slots__ = ("__weakref__", "burst", "journal", "last", "lock", "settling", "writing")

    def __init__(self) -> None:
        self.settling = threading.Lock()  # these three are taken in this order
        self.writing = threading.Lock()  # and with it the lock among processes
        self.lock = threading.Lock()  # of what follows, and of the journal
        self.journal: JournalFile | None = None
        self.last = 0.0  # when it was last written to, or first seen
        self.burst = 0


class Journals:
    """Those of the logs in `tree`. `elapsed`: seconds; `now`: seconds since the epoch, the time of files."""

    def __init__(self, tree: DurableTree, elapsed: Callable[[], float], now: Callable[[], float]) -> None:
        self._tree = tree
        self._elapsed = elapsed
        self._now = now
        self.writes = file_system(tree.root) in _LOCAL
        """Whether a file system of this machine, where processes see at once what another wrote."""
        self._logs: WeakValueDictionary[str, _Log] = WeakValueDictionary()  # one each, as long as anybody uses it
        self._recent: OrderedDict[str, _Log] = OrderedDict()
        self._guard = threading.Lock()  # of both
        self.waiting: set[str] = set()
        """Logs with commits that have no file yet."""
        self.settled: dict[str, float] = {}
        """Logs whose journals are of no use any more, and since when."""

    def publish(self, path: str, write: Callable[[], int], data: Sequence[Buffer] = (), *, wait: bool = True) -> int:
        """Create the commit `path`: with `write`, a new file's, or, where `data` is given, in the journal.

        Returns the file's ctime in ns, 0 where there is none. Raises as DurableTree.write does, and Busy where it would
        have to wait and may not.
        """
        folder, _ = _split(path)
        log = self._log(folder)
        with self._locked(folder, log, wait=wait):
            with _alone(log.lock, wait=wait):
                if self._in_journal(path, log, data):
                    return 0
            return write()

    def has_none(self, folder: str) -> bool:
        """Whether there was no journal when the log was last looked at."""
        with self._guard:
            log = self._logs.get(folder)
        return log is not None and log.journal is None

    def find(self, path: str, *, wait: bool = True) -> tuple[JournalFile, Found] | None:
        """The record of the commit `path`, which is durable; None where it has a file, or is not there. Raises Busy."""
        folder, name = _split(path)
        log = self._log(folder)
        with _alone(log.lock, wait=wait), storage_errors():
            journal = log.journal
            if journal is None or int(name) not in journal.records:
                journal = self._current(folder, log)
            if journal is None or (found := journal.records.get(int(name))) is None or journal.gone:
                return None
            return journal, found

    def settle(self, folder: str, *, remove: bool = False) -> None:
        """Give all that is in the journal of `folder` files of its own; and remove it. Raises StorageError."""
        log = self._log(folder)
        with log.settling:
            self.waiting.discard(folder)
            try:
                with storage_errors():
                    self._settle(folder, log, remove=remove)
            except (Ambiguous, StorageError) as error:
                self.waiting.add(folder)  # what is in the journal is durable, and read from there
                raise StorageError(str(error)) from error

    def remove(self, folders: Sequence[str]) -> None:
        """As `settle`, each, and no journal is left."""
        for folder in folders:
            self.settle(folder, remove=True)

    def settle_quiet(self, seconds: float) -> None:
        """Settle what nothing came to for so long, or no more may come to; remove what was settled long ago.

        What fails is left for the next time.
        """
        now = self._elapsed()
        for folder in tuple(self.waiting):
            log = self._log(folder)
            if now - log.last >= seconds or (log.journal is not None and log.journal.ended):
                with suppress(StorageError):
                    self.settle(folder)
        for folder, since in tuple(self.settled.items()):
            if self._elapsed() - since >= _KEEP:
                with suppress(StorageError):
                    self.settle(folder, remove=True)

    def _settle(self, folder: str, log: _Log, *, remove: bool) -> None:
        journal = self._finished(folder, log) if remove else self._seen(folder, log)
        self.settled.pop(folder, None)
        if journal is None:
            return
        fcntl.flock(journal.fd, fcntl.LOCK_EX)
        try:
            if not journal.gone:
                self._move(folder, journal)
                if remove:
                    os.unlink(f"{self._tree.root}/{folder}/{NAME}")
                    self._tree.sync_names(folder)
                else:
                    self.settled[folder] = self._elapsed()
        finally:
            fcntl.flock(journal.fd, fcntl.LOCK_UN)

    def _seen(self, folder: str, log: _Log) -> JournalFile | None:
        with log.lock:
            journal = self._current(folder, log)
            self.waiting.discard(folder)
            return journal

    def _finished(self, folder: str, log: _Log) -> JournalFile | None:
        """The journal, to which nothing more will come."""
        journal = self._seen(folder, log)
        if journal is not None and not journal.ended:
            with self._locked(folder, log, wait=True), log.lock:
                journal.refresh()
                journal.finish()
        return journal

    def _move(self, folder: str, journal: JournalFile) -> None:
        """All that is known of it."""
        records = dict(journal.records)
        for sequence, found in records.items():
            path = f"{folder}/{sequence:020d}"
            if self._is_file(path):
                continue  # of a move that was cut short, or by another
            temporary = self._tree.temporary.take()
            try:
                temporary.write([journal.read(found, 0, found.length)])
                os.utime(temporary.fd, ns=(found.time, found.time))
                with suppress(AlreadyExists):
                    self._tree.publish(temporary, path, last=False)
            finally:
                temporary.discard()
        self._tree.sync_names(folder)
        journal.forget(records)

    def _in_journal(self, path: str, log: _Log, data: Sequence[Buffer]) -> bool:
        """Whether the commit was put there. Raises AlreadyExists, Ambiguous, StorageError."""
        folder, name = _split(path)
        length, sequence = sum(map(len, data)), int(name)
        with storage_errors():
            journal = self._current(folder, log)
            if journal is not None and sequence in journal.records:
                raise AlreadyExists(path)
            if not (data and length <= _SMALL and self._in_a_burst(log)):
                return False
            if journal is None or journal.gone:
                journal = self._begin(folder, log)
            if journal.ended or sequence <= journal.last or self._is_file(path):
                return False
        self._append(journal, path, data, length)
        self.waiting.add(folder)
        if journal.count >= _MOST or journal.end >= _MOST_BYTES:
            with suppress(OSError):  # the commit is durable; the next one tries again
                journal.finish()
        return True

    def _append(self, journal: JournalFile, path: str, data: Sequence[Buffer], length: int) -> None:
        with storage_errors():
            journal.reserve(length)
        try:
            journal.append(int(path[-20:]), data, length, int(self._now() * 1e9))
        except OSError as error:
            raise Ambiguous(f"{path}: {error}") from error

    def _in_a_burst(self, log: _Log) -> bool:
        now = self._elapsed()
        log.burst = log.burst + 1 if now - log.last < _SOON else 0
        log.last = now
        return self.writes and log.burst >= _BURST

    def _begin(self, folder: str, log: _Log) -> JournalFile:
        self._tree.write(f"{folder}/{NAME}", new(secrets.token_bytes(SALT)))
        log.journal = self._open(folder)
        if log.journal is None:
            raise StorageError(f"{folder}: its journal vanished")
        return log.journal

    def _current(self, folder: str, log: _Log) -> JournalFile | None:
        """The log's journal, with all that is in it; None where there is none."""
        journal = log.journal
        if journal is not None:
            journal.refresh()
            if journal.ended and journal.gone:
                journal = None
        if journal is None:
            journal = self._open(folder)
            if journal is not None:
                journal.refresh()
                log.last = self._elapsed()
                self.waiting.add(folder)
        log.journal = journal
        return journal

    def _open(self, folder: str) -> JournalFile | None:
        try:
            return JournalFile(os.open(f"{self._tree.root}/{folder}/{NAME}", os.O_RDWR))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _is_file(self, path: str) -> bool:
        try:
            os.stat(f"{self._tree.root}/{path}")
        except FileNotFoundError:
            return False
        return True

    def _log(self, folder: str) -> _Log:
        with self._guard:
            log = self._logs.get(folder)
            if log is None:
                log = self._logs[folder] = _Log()
            self._recent[folder] = log
            self._recent.move_to_end(folder)
            if len(self._recent) > _KEPT:
                self._recent.popitem(last=False)
            return log

    @contextmanager
    def _locked(self, folder: str, log: _Log, *, wait: bool) -> Iterator[None]:
        """Alone in the log, of all threads and processes. Raises Busy, or StorageError after a long wait."""
        with _alone(log.writing, wait=wait), ExitStack() as stack:
            if self.writes:
                try:
                    stack.enter_context(self._tree.locked(folder, _PATIENCE if wait else 0.0))
                except Busy:
                    if wait:
                        raise StorageError(f"{folder}: another process holds it") from None
                    raise
            yield


@contextmanager
def _alone(lock: threading.Lock, *, wait: bool) -> Iterator[None]:
    if not lock.acquire(blocking=wait):
        raise Busy
    try:
        yield
    finally:
        lock.release()


def file_system(path: str) -> str:
    """The type of the file system of `path`; "" where the system does not tell."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return ""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in reversed(lines):  # man 5 proc: id, parent, major:minor, root, mount point, …, `-`, type
        before, _, after = line.partition(" - ")
        if before.split(" ")[2] == number:
            return after.split(" ")[0]
    return ""


def _split(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder, name
