"""A commit of many messages is begun before its line is known: the same octets, and nothing else is left."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.mailpod.store.faults import World, mail, make_world
from tests.mailpod.support import until

from mailpod.errors import OverQuota, TryCreate
from mailpod.store import NewMessage
from mailpod.store.blocks import find_blocks
from mailpod.store.commits import decode
from mailpod.store.draft import Limits
from mailpod.store.folder import FolderObjects
from mailpod.store.names import log_key
from mailpod.store.together import Together

MESSAGES = [NewMessage(mail(number, 20_000), frozenset()) for number in range(40)]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    objects = FolderObjects(tmp_path)
    yield await make_world(objects, checkpoint_commits=1 << 20, checkpoint_header_bytes=1 << 40)
    await objects.close()


class Syncs:
    """What threads sync before the line is written; `act` may fail, or wait."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.act: Callable[[], None] = lambda: None
        sync = os.fdatasync

        def fdatasync(fd: int) -> None:
            if ".tmp/" in os.readlink(f"/proc/self/fd/{fd}"):  # noqa: PTH115  not a journal's
                self.count += 1
                self.act()
            sync(fd)

        monkeypatch.setattr(os, "fdatasync", fdatasync)


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Syncs:
    return Syncs(monkeypatch)


def unfinished(root: Path) -> list[Path]:
    """Temporary files that hold something."""
    return [file for file in (root / ".tmp").rglob("*") if file.is_file() and file.stat().st_size]


async def commit(world: World, sequence: int) -> tuple[bytes, bytes]:
    """A commit's first line, and what follows it."""
    line, _, rest = (await world.objects.get(log_key(world.ref.prefix, sequence))).partition(b"\n")
    return line, rest


async def stored(world: World) -> list[bytes]:
    """What a pod that begins now serves."""
    account = await world.pod().open(world.ref)
    inbox = account.mailbox("INBOX")
    return [
        await account.body(page.location(row)) async for page, rows in inbox.pages(list(inbox.uids)) for row in rows
    ]


async def test_the_object_is_a_line_with_blanks_and_the_messages(world: World, syncs: Syncs, tmp_path: Path) -> None:
    account = await world.pod().open(world.ref)
    added = await account.append("INBOX", MESSAGES, later=True)
    assert added.uids == list(range(1, 41))
    line, rest = await commit(world, 2)
    assert syncs.count == 1
    assert rest == b"".join(message.data for message in MESSAGES)
    blanks = len(line) - len(line.rstrip(b" "))
    assert line.startswith(b'{"v":1,')
    assert 0 < blanks < len(line) // 2
    whole = len(line) + 1 + len(rest)
    header, length = decode((line + b"\n", whole))
    assert (len(header.ops), header.bytes, length) == (1, len(rest), len(line) + 1)
    blocks = find_blocks(line, whole)
    assert blocks is not None
    assert blocks.bounds[0] == len(line) + 1
    assert await stored(world) == [message.data for message in MESSAGES]
    assert unfinished(tmp_path) == []


@pytest.mark.parametrize("messages", [MESSAGES[:15], MESSAGES[:20], [NewMessage(mail(9, 700_000), frozenset())]])
async def test_few_messages_and_little_mail_are_written_at_once(
    world: World, syncs: Syncs, messages: list[NewMessage]
) -> None:
    account = await world.pod().open(world.ref)
    await account.append("INBOX", messages, later=True)
    line, _ = await commit(world, 2)
    assert line.endswith(b"}")
    assert syncs.count == 0


async def test_a_line_that_has_no_room_is_written_with_the_messages(
    world: World, syncs: Syncs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Together, "line_bytes", 1000)
    account = await world.pod().open(world.ref)
    await account.append("INBOX", MESSAGES, later=True)
    line, _ = await commit(world, 2)
    assert line.endswith(b"}")
    assert syncs.count == 1
    assert await stored(world) == [message.data for message in MESSAGES]
    assert unfinished(tmp_path) == []


@pytest.mark.parametrize("call", ["fdatasync", "writev", "lseek"])
async def test_where_beginning_fails_all_is_written_as_ever(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    account = await world.pod().open(world.ref)
    real = getattr(os, call)
    failed = []

    def failing(*given: Any) -> Any:
        if threading.current_thread() is not threading.main_thread() and not failed:
            failed.append(call)
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*given)

    monkeypatch.setattr(os, call, failing)
    await account.append("INBOX", MESSAGES, later=True)
    assert failed == [call]
    assert await stored(world) == [message.data for message in MESSAGES]
    assert unfinished(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "limits", "error"), [("nowhere", None, TryCreate), ("INBOX", Limits(bytes=100_000), OverQuota)]
)
async def test_what_is_refused_leaves_nothing(
    world: World, syncs: Syncs, tmp_path: Path, name: str, limits: Limits | None, error: type[Exception]
) -> None:
    account = await world.pod().open(world.ref)
    with pytest.raises(error):
        await account.append(name, MESSAGES, limits=limits, later=True)
    assert syncs.count == 1
    assert unfinished(tmp_path) == []
    assert await stored(world) == []


async def test_who_goes_away_leaves_nothing_and_no_thread_at_work(world: World, syncs: Syncs, tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        go_on.wait(10)

    syncs.act = wait
    account = await world.pod().open(world.ref)
    async with account.lock:  # the commit waits for its turn
        task = asyncio.ensure_future(account.append("INBOX", MESSAGES, later=True))
        await until(begun.is_set)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        assert len(unfinished(tmp_path)) == 1
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert unfinished(tmp_path) == []
    await account.idle()
    assert await stored(world) == []


async def test_who_loses_a_race_writes_the_same_behind_the_winner(world: World, syncs: Syncs, tmp_path: Path) -> None:
    account, other = [await world.pod().open(world.ref) for _ in range(2)]
    await other.append("INBOX", [NewMessage(mail(99), frozenset())])
    await account.append("INBOX", MESSAGES, later=True)
    assert await stored(world) == [mail(99), *(message.data for message in MESSAGES)]
    assert syncs.count == 1
    assert unfinished(tmp_path) == []
