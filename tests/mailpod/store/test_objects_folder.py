"""The folder's own promises: what is acknowledged is synced, in the right order, whatever happens beside it."""

# ruff: noqa: ASYNC240
# (the tests look at the disk behind the store's back, with nothing else in the loop)

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.harness.need import need

from mailpod.store.folder import FolderObjects
from mailpod.store.objects import AlreadyExists, Ambiguous, NotFound, StorageError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "bucket"


@pytest.fixture
async def objects(root: Path) -> AsyncIterator[FolderObjects]:
    store = FolderObjects(root)
    yield store
    await store.close()


class Disk:
    """Keeps, beside the real disk, what would be left of it after a power cut now: a name counts once its directory
    was synced, and a file's bytes once the file was. This is the store that drops what was not synced."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes: dict[int, bytes] = {}  # inode: synced content
        self.names: dict[int, dict[str, int]] = {}  # inode of a directory: its synced names
        self._lock = threading.Lock()
        sync = os.fsync

        def fsync(fd: int) -> None:
            path = f"/proc/self/fd/{fd}"
            with self._lock:
                inode = os.fstat(fd).st_ino
                if os.path.isdir(path):  # noqa: PTH112
                    with os.scandir(fd) as entries:
                        self.names[inode] = {entry.name: entry.inode() for entry in entries}
                else:
                    self.bytes[inode] = Path(path).read_bytes()
            sync(fd)

        monkeypatch.setattr(os, "fsync", fsync)

    def after_power_cut(self, root: Path, key: str) -> bytes | None:
        """What would be read at `key`; None where its name is lost, b"" where only its bytes are."""
        inode = root.parent.stat().st_ino
        for name in (root.name, *key.split("/")):
            found = self.names.get(inode, {}).get(name)
            if found is None:
                return None
            inode = found
        return self.bytes.get(inode, b"")


async def test_what_is_acknowledged_survives_a_power_cut(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    objects = FolderObjects(root)
    await objects.create("accounts/example.org/ann/1/log/1", [b"one"])
    assert disk.after_power_cut(root, "accounts/example.org/ann/1/log/1") == b"one"
    await objects.put("directory/example.org/ann/address", [b"old"])
    await objects.put("directory/example.org/ann/address", [b"new"])
    assert disk.after_power_cut(root, "directory/example.org/ann/address") == b"new"

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 100_000

    await objects.upload("accounts/example.org/ann/1/pack/p", pieces())
    assert disk.after_power_cut(root, "accounts/example.org/ann/1/pack/p") == b"x" * 3_000_000
    await objects.delete(["directory/example.org/ann/address"])
    assert disk.after_power_cut(root, "directory/example.org/ann/address") is None
    await objects.close()


async def test_what_is_deleted_stays_away_after_a_power_cut(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, keys = Disk(monkeypatch), [f"outbound/{number}/message" for number in range(4)]
    objects, other = FolderObjects(root), FolderObjects(root)
    for key in keys:
        await objects.create(key, [b"x"])
    await objects.delete(keys[:2])  # and with each the directory that it was alone in
    assert [disk.after_power_cut(root, key) for key in keys] == [None, None, b"x", b"x"]
    await asyncio.gather(objects.delete(keys[2:3]), other.delete(keys[3:]))  # the last one takes `outbound` along
    assert [disk.after_power_cut(root, key) for key in keys] == [None] * 4
    await objects.close()
    await other.close()


async def test_many_at_once_into_new_directories_survive_a_power_cut(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    first, second = FolderObjects(root), FolderObjects(root)  # as two pods

    async def write(number: int) -> None:
        key = f"a/{number % 7}/b/{number}"
        await (first if number % 2 else second).create(key, [b"%d" % number])
        assert disk.after_power_cut(root, key) == b"%d" % number

    await asyncio.gather(*(write(number) for number in range(200)))
    await first.close()
    await second.close()


async def test_what_another_process_linked_and_did_not_sync_is_synced_before_it_is_read(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    objects = FolderObjects(root)
    await objects.create("a/log/1", [b"ours"])
    (root / "a/log/2").write_bytes(b"theirs")
    assert disk.after_power_cut(root, "a/log/2") is None
    assert await objects.get("a/log/2") == b"theirs"
    assert disk.after_power_cut(root, "a/log/2") is not None  # the name; the bytes are the writer's to sync first
    await objects.close()


async def test_a_read_of_what_is_known_to_be_durable_syncs_nothing(
    objects: FolderObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    await objects.create("a/1", [b"x"])
    monkeypatch.setattr(os, "fsync", lambda fd: pytest.fail("synced"))
    assert await objects.get("a/1") == b"x"


_SCRIPT = """
import asyncio, os, sys
from mailpod.store.folder import FolderObjects
async def main():
    objects = FolderObjects(sys.argv[1])
    await objects.create("a/b/1", [b"x"])
    os.write(1, b"ACK create\\n")
    await objects.put("a/b/2", [b"y"])
    os.write(1, b"ACK put\\n")
    await asyncio.gather(*(objects.create(f"c/{number}/1", [b"z"]) for number in range(4)))
    os.write(1, b"ACK threads\\n")
    await objects.close()
asyncio.run(main())
"""


def test_system_calls_stand_in_the_right_order(root: Path, tmp_path: Path) -> None:
    """fsync(file) < link < fsync(directory) < answer, new directories in synced parents before they are used."""
    strace, log = need("strace"), tmp_path / "log"
    calls = "trace=mkdir,mkdirat,fsync,fdatasync,link,linkat,rename,renameat,renameat2,write"
    done = subprocess.run(
        [strace, "-f", "-y", "-e", calls, "-o", str(log), sys.executable, "-c", _SCRIPT, str(root)],
        capture_output=True,
        check=False,
    )
    if b"ptrace" in done.stderr or b"PTRACE" in done.stderr:
        from tests.harness.need import missing

        missing("permission to trace processes (strace)")
    assert done.returncode == 0, done.stderr
    lines = [line.split(maxsplit=1)[1] for line in log.read_text().splitlines()]

    def at(pattern: str, start: int = 0) -> int:
        return next(number for number, line in enumerate(lines[start:], start) if re.search(pattern, line))

    base = re.escape(str(root))
    steps = [
        rf'mkdirat\(\d+<{base}>, "a"',
        rf"fsync\(\d+<{base}>\)",
        rf'mkdirat\(\d+<{base}/a>, "b"',
        rf"fsync\(\d+<{base}/a>\)",
        rf'linkat\(.*{base}/\.tmp/.*, \d+<{base}/a/b>, "1"',
        rf"fsync\(\d+<{base}/a/b>\)",
        r"ACK create",
        rf"fsync\(\d+<{base}/\.tmp/",
        rf'rename(at2?)?\(.*, \d+<{base}/a/b>, "2"',
        rf"fsync\(\d+<{base}/a/b>\)",
        r"ACK put",
    ]
    position = at(steps[0])
    assert at(rf"fsync\(\d+<{base}/\.tmp/") < at(steps[4])
    for before, step in itertools.pairwise(steps):
        found = at(step, position + 1)
        assert found > position, (before, step)
        position = found
    for number in range(4):
        link = at(rf'linkat\(.*<{base}/c/{number}>, "1"', position)
        assert link < at(rf"fsync\(\d+<{base}/c/{number}>", link) < at("ACK threads")


def begun(root: Path) -> list[Path]:
    """Temporary files with something in them: those made ahead are empty."""
    return [file for file in (root / ".tmp").rglob("*") if file.is_file() and file.stat().st_size]


def _failing(call: Callable[..., Any], code: int, when: Callable[..., bool]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if when(*args, **kwargs):
            raise OSError(code, os.strerror(code))
        return call(*args, **kwargs)

    return wrapper


def _is_directory(fd: int) -> bool:
    return os.path.isdir(f"/proc/self/fd/{fd}")  # noqa: PTH112


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("step", ["open", "writev", "fsync"])
async def test_a_failure_before_the_link_is_certain(
    objects: FolderObjects, root: Path, monkeypatch: pytest.MonkeyPatch, code: int, step: str
) -> None:
    await objects.create("a/0", [b"x"])
    written = 0
    with monkeypatch.context() as patch:
        writes = {"open": lambda path, *a, **k: ".tmp" in path}.get(step, lambda *a, **k: True)
        patch.setattr(os, step, _failing(getattr(os, step), code, writes))
        with pytest.raises(StorageError):
            for written in itertools.count(1):  # files made ahead need no opening
                await objects.create(f"a/{written}", [b"x"])
    assert written < 10
    with pytest.raises(NotFound):
        await objects.get(f"a/{written}")
    assert begun(root) == []
    await objects.create(f"a/{written}", [b"y"])


async def test_a_failure_after_the_link_is_ambiguous(objects: FolderObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    await objects.create("a/0", [b"x"])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _failing(os.fsync, errno.EIO, _is_directory))
        with pytest.raises(Ambiguous):
            await objects.create("a/1", [b"x"])
        with pytest.raises(Ambiguous):
            await objects.put("a/2", [b"x"])
        with pytest.raises(StorageError):
            await objects.get("a/1")  # not handed out before its name is durable
    assert await objects.get("a/1") == b"x"


@pytest.mark.parametrize(
    ("code", "expected"), [(errno.EIO, Ambiguous), (errno.ENOSPC, StorageError), (errno.EMLINK, StorageError)]
)
async def test_a_failing_link(
    objects: FolderObjects, monkeypatch: pytest.MonkeyPatch, code: int, expected: type[Exception]
) -> None:
    monkeypatch.setattr(os, "link", _failing(os.link, code, lambda *a, **k: True))
    with pytest.raises(expected):
        await objects.create("a/1", [b"x"])


async def test_a_link_that_a_network_file_system_repeated_is_ours(
    objects: FolderObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def repeated(*args: Any, **kwargs: Any) -> None:
        link(*args, **kwargs)
        link(*args, **kwargs)

    monkeypatch.setattr(os, "link", repeated)
    await objects.create("a/1", [b"x"])
    with pytest.raises(AlreadyExists):
        await objects.create("a/1", [b"y"])


async def test_a_directory_removed_meanwhile_is_made_again(objects: FolderObjects, root: Path) -> None:
    await objects.create("a/b/1", [b"x"])
    await objects.delete(["a/b/1"])
    assert not (root / "a").exists()
    await objects.create("a/b/1", [b"y"])
    (root / "a/b/1").unlink()
    (root / "a/b").rmdir()  # as another process's purge does: our descriptor is of the old one
    (root / "a/b").mkdir()
    await objects.create("a/b/1", [b"z"])
    assert await objects.get("a/b/1") == b"z"


async def test_one_above_removed_meanwhile_is_made_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    objects, other = FolderObjects(root), FolderObjects(root)
    await objects.create("a/b/1/x", [b"x"])
    await other.delete(["a/b/1/x"])
    assert not (root / "a").exists()
    await objects.create("a/b/2/x", [b"y"])
    assert disk.after_power_cut(root, "a/b/2/x") == b"y"
    await objects.close()
    await other.close()


async def test_creating_and_purging_at_once(root: Path) -> None:
    first, second = FolderObjects(root), FolderObjects(root)

    async def work(store: FolderObjects, number: int) -> None:
        for turn in range(30):
            key = f"a/b/c/{number}-{turn}"
            await store.create(key, [b"x"])
            assert await store.get(key) == b"x"
            await store.delete([key])

    await asyncio.gather(*(work(store, number) for number, store in enumerate((first, second) * 4)))
    assert await first.list("") == []
    assert await first.list_folders("") == []
    await first.close()
    await second.close()


async def test_a_folder_that_is_gone_is_an_error_and_not_a_new_folder(objects: FolderObjects, root: Path) -> None:
    root.rename(root.with_name("elsewhere"))
    with pytest.raises(StorageError):
        await objects.create("a/1", [b"x"])
    assert not root.exists()


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", ".tmp/x", ".local/key", "a\0b"])
async def test_what_cannot_be_a_key(objects: FolderObjects, key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        await objects.create(key, [b"x"])
    with pytest.raises(ValueError, match="not a key"):
        await objects.get(key)


async def test_a_segment_that_is_too_long(objects: FolderObjects) -> None:
    with pytest.raises(ValueError, match="255 bytes"):
        await objects.create("a/" + "x" * 256, [b"x"])
    with pytest.raises(NotFound):
        await objects.get("a/" + "x" * 256)
    await objects.create("a/" + "x" * 255, [b"x"])


async def test_hidden_folders_are_not_listed(objects: FolderObjects, root: Path) -> None:
    (root / ".local").mkdir()
    (root / ".local/signing.key").write_bytes(b"secret")
    await objects.create("a/.x/1", [b"x"])
    assert [entry.key for entry in await objects.list("")] == ["a/.x/1"]
    assert await objects.list_folders("") == ["a"]
    with pytest.raises(ValueError, match="not a key"):
        await objects.list(".local/")


async def test_an_empty_directory_is_no_folder(objects: FolderObjects, root: Path) -> None:
    (root / "a/b").mkdir(parents=True)
    assert await objects.list_folders("") == []


async def test_a_cancelled_write_has_ended_when_its_caller_is_told(objects: FolderObjects, root: Path) -> None:
    tasks = [asyncio.create_task(objects.create(f"a/{number}", [b"x" * 100_000])) for number in range(20)]
    await asyncio.sleep(0.001)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    before = {entry.key for entry in await objects.list("a/")}
    await asyncio.sleep(0.05)
    assert {entry.key for entry in await objects.list("a/")} == before
    assert begun(root) == []


async def test_reads_in_a_row_let_others_run(objects: FolderObjects) -> None:
    await objects.create("a/1", [b"x"])
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(other())
    for _ in range(1000):
        await objects.get("a/1")
    running.cancel()
    assert turns > 10
