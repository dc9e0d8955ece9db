"""Ways to make a new file durable at its name, beside each other: `python -m benchmarks.durable_file [--folder DIR]`.

Each is done in turn, so that all are disturbed alike. Only the first three are atomic, and durable everywhere:

- in the journal: as the store does with commits of a burst, which get their files later (store/journals.py);
- in a file, as the store does else: a temporary file, made ahead where that is slow, fsync, link, fsync of the folder;
  two commits of ext4's journal;
- nothing ahead: the same, the file made only then; after many deletions ext4 may take longer for that than for the
  rest;
- unnamed (O_TMPFILE): the same, but btrfs writes nothing of a file without a name into its log at fsync, and only that
  it exists at the folder's: after a power cut it may be there and empty;
- written back: sync_file_range in place of the first fsync, so one commit of the journal has all; its manual page
  promises nothing of the kind;
- at its name: one fsync, but who reads it early, or after a power cut, may see a part of it.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mailpod.store.durable import DurableTree
from mailpod.store.journals import Journals

_WRITE_AND_WAIT = 7  # SYNC_FILE_RANGE_WAIT_BEFORE, _WRITE, _WAIT_AFTER


class Ways:
    def __init__(self, root: Path, data: bytes) -> None:
        self.data = data
        self.ahead, self.tree = DurableTree(str(root)), DurableTree(str(root))
        self.root = root
        (root / "log").mkdir()
        self.folder = os.open(root / "log", os.O_RDONLY | os.O_DIRECTORY)
        self.names = map(str, itertools.count())
        self.range = ctypes.CDLL(None, use_errno=True).sync_file_range
        self.range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
        self.journals = Journals(self.ahead, time.monotonic, time.time)
        self.sequences = itertools.count(1)

    def make_ahead(self) -> None:
        """What a thread of the store does meanwhile."""
        if self.ahead.temporary.wants_more():
            self.ahead.temporary.make_ahead()

    def in_the_journal(self) -> None:
        path = f"burst/log/{next(self.sequences):020d}"
        self.journals.publish(path, lambda: self.ahead.write(path, [self.data]), [self.data])

    def in_a_file(self) -> None:
        self.ahead.write(f"log/{next(self.names)}", [self.data])

    def nothing_ahead(self) -> None:
        self.tree.write(f"log/{next(self.names)}", [self.data])

    def unnamed(self) -> None:
        file = os.open(self.root / "log", os.O_WRONLY | os.O_TMPFILE, 0o600)
        os.write(file, self.data)
        os.fsync(file)
        os.link(f"/proc/self/fd/{file}", next(self.names), dst_dir_fd=self.folder, follow_symlinks=True)
        os.fsync(self.folder)
        os.close(file)

    def written_back(self) -> None:
        self._linked(lambda file: self.range(file, 0, 0, _WRITE_AND_WAIT))
        os.fsync(self.folder)

    def at_its_name(self) -> None:
        file = os.open(next(self.names), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self.folder)
        os.write(file, self.data)
        os.fsync(file)
        os.close(file)

    def _linked(self, between: Callable[[int], object]) -> None:
        temporary = self.tree.temporary.take()
        temporary.write([self.data])
        between(temporary.fd)
        os.link(temporary.path, next(self.names), dst_dir_fd=self.folder)
        temporary.discard()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="on the file system in question")
    parser.add_argument("--size", type=int, default=17_000, help="octets of a file")
    parser.add_argument("--files", type=int, default=200, help="of each way")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as root:
        ways = Ways(Path(root), os.urandom(given.size))
        atomic = [ways.in_the_journal, ways.in_a_file, ways.nothing_ahead]
        works = [*atomic, ways.unnamed, ways.written_back, ways.at_its_name]
        spent: dict[str, list[tuple[float, float]]] = {work.__name__: [] for work in works}
        for work in works * given.files:
            ways.make_ahead()
            began, cpu = time.perf_counter(), time.process_time()
            work()
            spent[work.__name__].append((time.perf_counter() - began, time.process_time() - cpu))
    print(f"{'ms':20} {'a tenth':>8} {'median':>8} {'mean':>8} {'CPU':>8}")
    for name, found in spent.items():
        times, cpus = sorted(each for each, _ in found), [each for _, each in found]
        shown = times[len(times) // 10], statistics.median(times), statistics.mean(times), statistics.mean(cpus)
        print(f"{name.replace('_', ' '):20} " + " ".join(f"{each * 1000:8.3f}" for each in shown))


if __name__ == "__main__":
    main()
