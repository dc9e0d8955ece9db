"""Bursts of commits in a folder: in the journal at once, in files of their own soon, never lost between the two."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailpod.store.folder import FolderObjects
from mailpod.store.journals import file_system
from mailpod.store.objects import AlreadyExists, Ambiguous, NotFound, StorageError

LOG = "accounts/example.org/ann/1/log"


def key(number: int) -> str:
    return f"{LOG}/{number:020d}"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """However slow the disk is, commits come soon after each other, and it is not quiet before a test says so."""
    monkeypatch.setattr("mailpod.store.journals._SOON", 60.0)
    monkeypatch.setattr("mailpod.store.folder._QUIET", 60.0)
    if file_system(str(tmp_path)) in ("", "nfs"):
        pytest.skip("no local file system")
    return tmp_path / "bucket"


@pytest.fixture
async def objects(root: Path) -> AsyncIterator[FolderObjects]:
    store = FolderObjects(root)
    yield store
    await store.close()


async def burst(objects: FolderObjects, first: int = 1, count: int = 10) -> None:
    for number in range(first, first + count):
        await objects.create(key(number), [b"commit ", b"%d" % number])


def journal(root: Path) -> Path:
    return root / LOG / ".journal"


def files(root: Path) -> list[int]:
    return sorted(int(file.name) for file in (root / LOG).iterdir() if file.name != ".journal")


async def assert_all(objects: FolderObjects, count: int = 10) -> None:
    expected = [key(number) for number in range(1, count + 1)]
    assert [entry.key for entry in await objects.list(f"{LOG}/")] == expected
    assert [entry.key for entry in await objects.list("")] == expected
    assert [entry.key for entry in await objects.list(f"{LOG}/", after=key(3), limit=2)] == [key(4), key(5)]
    assert await objects.list_folders("accounts/example.org/ann/1/") == ["log"]
    for number in range(1, count + 1):
        assert await objects.get(key(number)) == b"commit %d" % number
        assert await objects.get_range(key(number), 2, 9) == (b"commit %d" % number)[2:9]
        assert await objects.get_head(key(number), 3) == (b"com", len(b"commit %d" % number))
    with pytest.raises(NotFound):
        await objects.get(key(count + 1))


async def test_a_burst_goes_to_the_journal_and_is_read_from_there(objects: FolderObjects, root: Path) -> None:
    await burst(objects)
    assert files(root) == [1, 2]
    await assert_all(objects)


async def test_commits_with_time_between_them_are_files(
    objects: FolderObjects, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailpod.store.journals._SOON", 0.1)
    for number in range(1, 5):
        await objects.create(key(number), [b"x"])
        await asyncio.sleep(0.11)
    assert files(root) == [1, 2, 3, 4]
    assert not journal(root).exists()


async def test_once_it_is_quiet_each_has_a_file(
    objects: FolderObjects, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailpod.store.folder._QUIET", 0.1)
    await burst(objects)
    before = await objects.list(f"{LOG}/")
    for _ in range(100):
        if len(files(root)) == 10:
            break
        await asyncio.sleep(0.1)
    assert_files(root, 10)
    for _ in range(100):
        if not objects._journals.waiting and objects._journals.settled:
            break
        await asyncio.sleep(0.02)
    assert all(not log.journal.records for log in objects._journals._recent.values() if log.journal)  # no memory
    await assert_all(objects)
    after = await objects.list(f"{LOG}/")
    assert [(each.key, each.size, each.modified) for each in after[2:]] == [
        (each.key, each.size, each.modified) for each in before[2:]
    ]
    monkeypatch.setattr("mailpod.store.folder._QUIET", 60.0)
    await burst(objects, 11, 5)
    assert len(files(root)) < 15  # the journal is still in use
    await assert_all(objects, 15)


async def test_closing_leaves_a_file_of_each(root: Path) -> None:
    objects = FolderObjects(root)
    await burst(objects)
    await objects.close()
    assert_files(root, 10)
    objects = FolderObjects(root)
    await assert_all(objects)
    await objects.close()
    journal(root).unlink()
    objects = FolderObjects(root)
    await assert_all(objects)
    await objects.close()


async def test_a_journal_of_no_use_is_removed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailpod.store.journals._KEEP", 0.0)
    objects, other = FolderObjects(root), FolderObjects(root)
    await burst(objects)
    assert await other.get(key(10)) == b"commit 10"
    await objects.close()
    assert not journal(root).exists()
    assert_files(root, 10)
    await assert_all(other)
    await burst(other, 11, 5)
    assert journal(root).exists()
    await other.close()
    assert_files(root, 15)


async def test_a_full_journal_is_not_written_to(
    objects: FolderObjects, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailpod.store.journals._MOST", 5)
    await burst(objects, 1, 20)
    assert files(root)[:3] == [1, 2, 8]
    await assert_all(objects, 20)


async def test_a_journal_that_somebody_took_away_is_not_written_to(objects: FolderObjects, root: Path) -> None:
    await burst(objects)
    journal(root).unlink()
    await burst(objects, 11, 5)
    copy = shutil.copytree(root, root.with_name("copy"))
    after = FolderObjects(copy)
    for number in range(11, 16):
        assert await after.get(key(number)) == b"commit %d" % number
    await after.close()


async def test_one_log_that_cannot_be_settled_holds_up_no_other(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = FolderObjects(root)
    others = [LOG.replace("ann", name) for name in ("a", "b", "c", "d")]
    await burst(objects)
    for other in others:
        for number in range(1, 6):
            await objects.create(f"{other}/{number:020d}", [b"x"])
    link = os.link

    def fails(source: str, name: str, *, dst_dir_fd: int) -> None:
        if "/ann/" in os.readlink(f"/proc/self/fd/{dst_dir_fd}"):  # noqa: PTH115
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        link(source, name, dst_dir_fd=dst_dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", fails)
        await objects.close()
    for other in others:
        assert len([*(root / other).glob("0*")]) == 5
    objects = FolderObjects(root)
    assert await objects.get(key(10)) == b"commit 10"
    await objects.close()
    assert_files(root, 10)


def assert_files(root: Path, count: int) -> None:
    for number in range(1, count + 1):
        assert (root / key(number)).read_bytes() == b"commit %d" % number


async def test_what_is_acknowledged_is_in_the_folder_at_any_moment(objects: FolderObjects, root: Path) -> None:
    """As a kill -9 or a power cut leaves it: the journal's octets are synced, and its name."""
    for number in range(1, 8):
        await burst(objects, number, 1)
        copy = root.with_name(f"copy-{number}")
        shutil.copytree(root, copy)
        after = FolderObjects(copy)
        await assert_all(after, number) if number > 4 else None
        for each in range(1, number + 1):
            assert await after.get(key(each)) == b"commit %d" % each
            with pytest.raises(AlreadyExists):
                await after.create(key(each), [b"another"])
        await after.create(key(number + 1), [b"commit %d" % (number + 1)])
        await after.close()
        assert_files(copy, number + 1)


async def test_each_commit_is_synced_before_it_is_acknowledged(
    objects: FolderObjects, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: dict[int, bytes] = {}  # by inode

    def fdatasync(fd: int) -> None:
        synced[os.fstat(fd).st_ino] = Path(f"/proc/self/fd/{fd}").read_bytes()

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    await burst(objects, 1, 3)
    for number in range(4, 12):
        await burst(objects, number, 1)
        assert b"commit %d" % number in synced[journal(root).stat().st_ino]


async def test_two_processes_see_each_other_at_once(objects: FolderObjects, root: Path) -> None:
    other = FolderObjects(root)
    both = [objects, other]
    for number in range(1, 41):
        await burst(both[number // 5 % 2], number, 1)
        for each in both:
            assert await each.get(key(number)) == b"commit %d" % number
            with pytest.raises(NotFound):
                await each.get(key(number + 1))
            with pytest.raises(AlreadyExists):
                await each.create(key(number), [b"another"])
    assert journal(root).exists()
    await assert_all(other, 40)
    await other.close()  # settles beneath the first
    assert_files(root, 40)
    await assert_all(objects, 40)


async def test_of_many_creators_of_a_commit_one_wins(objects: FolderObjects, root: Path) -> None:
    others = [FolderObjects(root) for _ in range(3)]
    for number in range(1, 60):
        large = number % 7 == 0
        answers = await asyncio.gather(
            *(
                each.create(key(number), [b"%d" % place * (200_000 if large and place % 2 else 10)])
                for place, each in enumerate([objects, *others])
            ),
            return_exceptions=True,
        )
        won = [place for place, answer in enumerate(answers) if answer is None]
        assert len(won) == 1, answers
        for each in (objects, *others):
            assert (await each.get(key(number)))[:1] == b"%d" % won[0]
        if number % 20 == 0:
            await others[0].delete([key(number)])
            for each in (objects, *others):
                with pytest.raises(NotFound):
                    await each.get(key(number))
    for each in others:
        await each.close()


async def test_what_is_deleted_does_not_come_back(objects: FolderObjects, root: Path) -> None:
    await burst(objects)
    other = FolderObjects(root)
    assert await other.get(key(10)) == b"commit 10"
    await objects.delete([key(9), key(10)])
    for each in (objects, other):
        with pytest.raises(NotFound):
            await each.get(key(10))
    await other.close()
    await assert_all(objects, 8)
    await objects.delete([key(number) for number in range(1, 9)])
    assert not (root / "accounts").exists()


async def test_a_commit_of_very_many_pieces(objects: FolderObjects, root: Path) -> None:
    await burst(objects)
    await objects.create(key(11), [b"commit", *[b" "] * 5000, b"11"])
    assert files(root) == [1, 2]
    assert await objects.get(key(11)) == b"commit" + b" " * 5000 + b"11"


async def test_large_commits_are_files(objects: FolderObjects, root: Path) -> None:
    await burst(objects)
    await objects.create(key(11), [b"x" * 200_000])
    assert files(root) == [1, 2, 11]
    await burst(objects, 12, 2)
    assert len(await objects.get(key(11))) == 200_000
    with pytest.raises(AlreadyExists):
        await objects.create(key(11), [b"small"])


async def test_a_sync_that_fails_is_ambiguous(objects: FolderObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    await burst(objects)

    def fails(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fails)
        with pytest.raises(Ambiguous):
            await objects.create(key(11), [b"commit 11"])
        with pytest.raises(StorageError):
            await objects.get(key(11))  # not handed out before it is durable
    assert await objects.get(key(11)) == b"commit 11"
    with pytest.raises(AlreadyExists):
        await objects.create(key(11), [b"another"])
    await assert_all(objects, 11)


async def test_a_full_disk_writes_nothing(objects: FolderObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    await burst(objects)

    def full(fd: int, data: bytes, at: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(StorageError):
            for number in range(11, 50):
                await objects.create(key(number), [b"x" * 100_000])
    names = [entry.key for entry in await objects.list(f"{LOG}/")]
    await objects.create(key(len(names) + 1), [b"again"])
    assert await objects.get(key(len(names) + 1)) == b"again"


async def test_a_settling_that_fails_is_done_again(
    objects: FolderObjects, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await burst(objects)
    link, left = os.link, 3

    def fails(*args: object, **kwargs: object) -> None:
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left -= 1
        link(*args, **kwargs)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", fails)
        with pytest.raises(StorageError):
            await objects.delete([key(1)])
    assert journal(root).exists()
    await assert_all(objects)
    await objects.delete([key(10)])
    assert not journal(root).exists()
    await assert_all(objects, 9)


async def test_who_holds_the_log_is_waited_for_elsewhere(objects: FolderObjects, root: Path) -> None:
    """Another process that was stopped in the middle of a write holds up its log, and nothing else."""
    await burst(objects)
    other = FolderObjects(root)
    with other._tree.locked(LOG, 0.0):
        writing = asyncio.create_task(objects.create(key(11), [b"commit 11"]))
        await asyncio.sleep(0.05)
        assert not writing.done()
        assert await objects.get(key(10)) == b"commit 10"
        assert not writing.done()
        await objects.create(key(1).replace("ann", "bob"), [b"x"])
    await writing
    await objects.delete([key(1).replace("ann", "bob")])
    await assert_all(objects, 11)
    await other.close()


async def test_without_a_local_file_system_there_are_only_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailpod.store.journals.file_system", lambda path: "nfs4")
    objects = FolderObjects(root)
    await burst(objects)
    assert files(root) == [*range(1, 11)]
    await assert_all(objects)
    await objects.close()


async def test_a_journal_is_no_object(objects: FolderObjects) -> None:
    await burst(objects)
    with pytest.raises(ValueError, match="not a key"):
        await objects.get(f"{LOG}/.journal")
    assert file_system("/proc") == "proc"
