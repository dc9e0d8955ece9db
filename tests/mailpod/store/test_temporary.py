"""Temporary files made ahead: used once, gone at the end, and never in the way of a write."""

# ruff: noqa: ASYNC221, ASYNC240
# (the tests look at the disk behind the store's back, with nothing else in the loop)

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.mailpod.store.test_objects_folder import begun
from tests.mailpod.support import until

from mailpod.store.durable import DurableTree
from mailpod.store.folder import FolderObjects
from mailpod.store.objects import StorageError
from mailpod.store.temporary import TemporaryFiles


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Making a file takes long; the names of those that no thread made ahead."""
    opened: list[str] = []

    def slow(path: Any, *rest: Any, real: Callable[..., int] = os.open, **named: Any) -> int:
        if "/.tmp/" in str(path):
            time.sleep(0.0003)
            opened.extend([path] if "/ahead." not in path else [])
        return real(path, *rest, **named)

    monkeypatch.setattr(os, "open", slow)
    return opened


@pytest.fixture
def files(tmp_path: Path) -> Iterator[TemporaryFiles]:
    made = TemporaryFiles(str(tmp_path), time.time)
    yield made
    made.close()


def there(root: Path) -> set[str]:
    return {str(file) for file in (root / ".tmp").rglob("*") if file.is_file()}


def test_each_is_used_once_in_the_order_they_were_made(files: TemporaryFiles, tmp_path: Path) -> None:
    files.make_ahead()
    ahead = there(tmp_path)
    taken = [files.take() for _ in ahead]
    assert {file.path for file in taken} == ahead
    assert files.take().path not in ahead, "and when they are used up one is made"
    assert [file.path for file in taken] == sorted(ahead, key=lambda path: int(path.rpartition(".")[2]))


def test_the_more_are_used_the_more_are_made_and_never_too_many(files: TemporaryFiles, tmp_path: Path) -> None:
    counts = []
    for _ in range(8):
        files.make_ahead()
        counts.append(len(there(tmp_path)))
        for _ in range(counts[-1]):
            files.take().discard()
    assert counts == sorted(counts)
    assert counts[0] < 8
    assert counts[-1] == counts[-2] == 32


@pytest.mark.usefixtures("slowly")
def test_more_are_wanted_when_half_are_used_and_come_in_the_other_folder(files: TemporaryFiles, tmp_path: Path) -> None:
    files.take().discard()
    assert files.wants_more(), "making one was slow"
    files.make_ahead()
    first = there(tmp_path)
    assert not files.wants_more()
    while not files.wants_more():
        files.take().discard()
    files.make_ahead()
    assert {Path(path).parent for path in first} == {tmp_path / ".tmp/ahead.0"}
    assert {Path(path).parent for path in there(tmp_path) - first} == {tmp_path / ".tmp/ahead.1"}


def test_it_is_seen_anew_whether_making_one_is_slow(files: TemporaryFiles, slowly: list[str]) -> None:
    for _ in range(600):
        files.take().discard()
        if files.wants_more():
            files.make_ahead()
    assert len(slowly) == 3, "each is followed by 256 to 287 that were made ahead"


def test_where_it_is_quick_none_are_wanted(files: TemporaryFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: 1.0)
    files.take().discard()
    assert not files.wants_more()


def test_none_is_left_when_all_is_closed(files: TemporaryFiles, tmp_path: Path) -> None:
    files.make_ahead()
    assert there(tmp_path)
    files.close()
    assert there(tmp_path) == set()


def test_what_another_removed_and_what_is_old_is_not_used(tmp_path: Path) -> None:
    now = [time.time()]
    files = TemporaryFiles(str(tmp_path), lambda: now[0])
    files.make_ahead()
    removed = sorted(there(tmp_path))[0]
    Path(removed).unlink()
    assert Path(files.take().path).exists()
    now[0] += 1801
    before = there(tmp_path)
    fresh = files.take()
    assert fresh.path not in before
    files.close()


def test_where_none_can_be_made_the_write_says_so(files: TemporaryFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    files.make_ahead()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        files.make_ahead()
        with pytest.raises(StorageError, match="No space"):
            for _ in range(40):
                files.take().discard()
    files.take().discard()


def test_a_folder_that_was_removed_is_made_again(files: TemporaryFiles, tmp_path: Path) -> None:
    (tmp_path / ".tmp").rmdir()
    files.make_ahead()
    files.take().discard()
    assert there(tmp_path)


def test_those_of_a_dead_process_go_when_another_begins(tmp_path: Path) -> None:
    script = (
        "import os, sys, time; from mailpod.store.temporary import TemporaryFiles as F;"
        "f = F(sys.argv[1], time.time); f.make_ahead(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path], check=True)
    left = there(tmp_path)
    assert left
    living = TemporaryFiles(str(tmp_path), time.time)
    living.make_ahead()
    assert living.clean(time.time()) == len(left)
    assert there(tmp_path).isdisjoint(left)
    assert there(tmp_path)
    living.close()


async def test_leftovers_of_dead_processes_go_at_start(tmp_path: Path) -> None:
    tree = f"DurableTree({str(tmp_path)!r})"
    dead = f"from mailpod.store.durable import DurableTree; print({tree}.temporary.take().path)"
    left = subprocess.run([sys.executable, "-c", dead], capture_output=True, check=True, text=True).stdout.strip()
    living = DurableTree(str(tmp_path)).temporary.take()
    elsewhere = tmp_path / ".tmp/other-host.0.1.7"
    elsewhere.write_bytes(b"")
    old = tmp_path / ".tmp/other-host.0.2.7"
    old.write_bytes(b"")
    os.utime(old, (time.time() - 4000, time.time() - 4000))
    await FolderObjects(tmp_path).close()
    assert not Path(left).exists()
    assert not old.exists()
    assert Path(living.path).exists()
    assert elsewhere.exists()
    living.discard()


async def test_a_store_makes_them_while_nobody_writes(tmp_path: Path, slowly: list[str]) -> None:
    """Writes in a row soon open no file that is not there yet; none is left, and all that was written is there."""
    store = FolderObjects(tmp_path)
    for number in range(50):
        await store.create(f"a/{number:02}", [b"%d" % number])
        await until(lambda: not store.is_making_ahead)
    assert len(slowly) < 3
    assert [entry.size for entry in await store.list("a/")] == [1] * 10 + [2] * 40
    assert begun(tmp_path) == []
    await store.close()
    assert there(tmp_path) == set()
