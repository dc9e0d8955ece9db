"""Commits that are known to be absent: whatever is created is found at once, by whoever looks, however often it did."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from mailpod.clock import SystemClock
from mailpod.store import NewMessage, Store, absent, new_account
from mailpod.store.absent import Absent
from mailpod.store.folder import FolderObjects
from mailpod.store.metered import MeteredObjects
from mailpod.store.objects import NotFound

LOG = "accounts/example.org/ann/1/log"


def commit(number: int) -> str:
    return f"{LOG}/{number:020d}"


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[FolderObjects]:
    store = FolderObjects(tmp_path)
    yield store
    await store.close()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds after which a log is old enough, for impatient tests; far more than the clock of files is behind."""
    monkeypatch.setattr(absent, "_OLD", 0.02)
    return 0.03


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths, as they are opened."""
    paths, real = list[str](), os.open

    def open_(path: str, *args: int, **more: int) -> int:
        paths.append(path)
        return real(path, *args, **more)

    monkeypatch.setattr(os, "open", open_)
    return paths


async def misses(objects: FolderObjects, key: str) -> bool:
    """Whether nothing is found there; what is sure of that without looking must be right."""
    is_sure = objects.is_absent(key)
    try:
        await objects.get_head(key, 100)
    except NotFound:
        return True
    assert not is_sure
    return False


async def test_nothing_is_opened_while_nothing_was_named(
    objects: FolderObjects, soon: float, opened: list[str]
) -> None:
    await objects.create(commit(1), [b"one"])
    await asyncio.sleep(soon)
    assert await misses(objects, commit(2))
    del opened[:]
    assert await misses(objects, commit(2)) and await misses(objects, commit(2))
    assert objects.is_absent(commit(2)) and not objects.is_absent(commit(3)) and opened == []
    assert await misses(objects, commit(3)) and opened, "another commit is looked for"
    assert await objects.get(commit(1)) == b"one" and not objects.is_absent(f"{LOG}/")


async def test_a_log_that_is_young_is_looked_at_again(objects: FolderObjects, opened: list[str]) -> None:
    await objects.create(commit(1), [b"one"])
    assert await misses(objects, commit(2))
    del opened[:]
    assert not objects.is_absent(commit(2))
    assert await misses(objects, commit(2)) and opened


async def test_a_folder_that_comes_later(objects: FolderObjects, soon: float) -> None:
    for _ in range(2):
        assert await misses(objects, commit(1))
    await objects.create(commit(1), [b"one"])
    assert await objects.get(commit(1)) == b"one"


async def test_what_another_creates_is_found_at_once(objects: FolderObjects, tmp_path: Path, soon: float) -> None:
    """As files, in a journal, and in one that was settled, removed or forgotten meanwhile; 300 times."""
    chance, other = random.Random(1), FolderObjects(tmp_path)
    await other.create(commit(1), [b"1"])
    for number in range(2, 302):
        if chance.random() < 0.1:
            await asyncio.sleep(soon)
        for _ in range(chance.randrange(4)):
            assert await misses(objects, commit(number))
        await other.create(commit(number), [b"%d" % number])
        assert not objects.is_absent(commit(number))
        assert await objects.get(commit(number)) == b"%d" % number
        if chance.random() < 0.1:
            objects._journals._recent.clear()  # as when others were looked at
        if chance.random() < 0.05:
            other._journals.settle(LOG, remove=chance.random() < 0.5)
    await other.close()


async def test_an_account_is_looked_at_without_a_request(
    objects: FolderObjects, tmp_path: Path, soon: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, clock, rng = FolderObjects(tmp_path), SystemClock(), random.Random(1)
    ref = await new_account(objects, "example.org", "ann", clock=clock, rng=rng)
    metered = MeteredObjects(objects)
    here, there = Store(metered, clock=clock, rng=rng), Store(other, clock=clock, rng=rng)
    ours, theirs = await here.open(ref), await there.open(ref)
    asked: list[str] = []
    get_head = metered.get_head

    async def counted(key: str, size: int) -> tuple[bytes, int]:
        asked.append(key)
        return await get_head(key, size)

    monkeypatch.setattr(metered, "get_head", counted)
    for number in range(1, 4):
        await theirs.append("INBOX", [NewMessage(b"Subject: x\r\n\r\n")])
        await ours.refresh()
        assert ours.mailbox("INBOX").exists == number
        other._journals.remove([f"{ours.prefix}log"])  # as a moment later
        await asyncio.sleep(soon)
        await ours.refresh()
        del asked[:]
        for _ in range(3):
            await ours.refresh()
        assert asked == []
    for account, store in (ours, here), (theirs, there):
        account.release()
        await store.close()
    await other.close()


async def test_what_becomes_a_file_while_it_is_looked_for(
    objects: FolderObjects, tmp_path: Path, soon: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in a journal as the look begins; that is gone when it is looked into."""
    other = FolderObjects(tmp_path)
    for number in range(1, 5):
        await other.create(commit(number), [b"%d" % number])
    assert await objects.get(commit(4)) == b"4" and objects._journals.waiting, "there is a journal"
    await asyncio.sleep(soon)
    assert await misses(objects, commit(5))
    await other.create(commit(5), [b"5"])
    assert not (tmp_path / commit(5)).exists()
    find = objects._journals.find

    def late(path: str, *, wait: bool = True) -> object:
        other._journals.settle(LOG, remove=True)
        return find(path, wait=wait)

    monkeypatch.setattr(objects._journals, "find", late)
    assert await objects.get(commit(5)) == b"5"
    await other.close()


async def test_on_another_machines_file_system_it_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, soon: float, opened: list[str]
) -> None:
    monkeypatch.setattr("mailpod.store.journals.file_system", lambda path: "nfs4")
    objects = FolderObjects(tmp_path)
    await objects.create(commit(1), [b"one"])
    await asyncio.sleep(soon)
    assert await misses(objects, commit(2))
    del opened[:]
    assert not objects.is_absent(commit(2))
    assert await misses(objects, commit(2)) and opened
    await objects.close()


@pytest.mark.parametrize(
    ("ctime", "now", "is_worth_it"),
    [
        (1_000_000_001, 2.1, True),
        (1_000_000_001, 1.9, False),  # young
        (1_000_000_001, 0.5, False),  # of a clock that was set back since
        (1_000_000_000, 9.0, False),  # of a file system that may count in seconds
    ],
)
def test_what_is_remembered(monkeypatch: pytest.MonkeyPatch, ctime: int, now: float, is_worth_it: bool) -> None:
    monkeypatch.setattr(os, "stat", lambda path: SimpleNamespace(st_ctime_ns=ctime))
    known = Absent("/", lambda: now)
    known.note("log", mark := known.mark("log"), "2")
    assert known.known("log", mark) == (("2",) if is_worth_it else ())
    assert known.known("log", 0) == known.known("log", mark + 1) == known.known("other", mark) == ()


def test_how_many_logs_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(absent, "_LOGS", 2)
    known = Absent("/", lambda: 0.0)
    for folder in "abc":
        known.note(folder, 1, "x")
    assert [known.known(folder, 1) for folder in "abc"] == [(), ("x",), ("x",)]
