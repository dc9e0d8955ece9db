"""Messages on their way to a client: in order, some read ahead, and never more than the pod's budget has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest
from tests.mailpod.imap.selected import Desk, desk, letter

from mailpod.errors import Damaged, Unavailable
from mailpod.imap import download
from mailpod.imap.download import Download
from mailpod.net.budget import Budget
from mailpod.store import Account, Location

SIZE = 100


class Slow:
    """An account whose messages come when they are let through; a message is its own number."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.reading = 0
        self.failing: set[int] = set()

    async def body_runs(self, places: Sequence[Location]) -> AsyncIterator[list[Any]]:
        self.reading += 1
        try:
            await self.open.wait()
            for at in places:
                if at.uid in self.failing:
                    raise Unavailable
                yield [b"%d" % at.uid if at.uid % 7 else Damaged()]
        finally:
            self.reading -= 1


def _download(account: Slow, budget: Budget, ahead: int, count: int) -> Download:
    found = Download(cast(Account, account), budget, ahead)
    found.add([Location("pack/1", SIZE * uid, SIZE, b"", uid) for uid in range(1, count + 1)])
    return found


async def _taken(found: Download, count: int) -> list[object]:
    return [each async for run in found.runs(count) for each in run]


def _numbers(found: list[object]) -> list[object]:
    return [int(cast(bytes, each)) if not isinstance(each, Damaged) else Damaged for each in found]


def _wanted(first: int, end: int) -> list[object]:
    return [uid if uid % 7 else Damaged for uid in range(first, end)]


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk() as found:
        yield found


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_BATCH", 5 * SIZE)


async def _turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("ahead", [0, 15 * SIZE, 1000 * SIZE])
async def test_messages_come_in_order_whatever_is_read_ahead(ahead: int) -> None:
    account, budget = Slow(), Budget(1 << 20)
    account.open.set()
    found = _download(account, budget, ahead, 30)
    seen: list[object] = []
    for count in (1, 11, 0, 13):
        found.begin(last=False)
        seen += await _taken(found, count)
    found.add([Location("pack/2", 0, SIZE, b"", 31)])
    found.begin(last=True)
    seen += await _taken(found, 6)
    assert _numbers(seen) == _wanted(1, 32)
    await found.aclose()
    assert budget.used == 0 and account.reading == 0


async def test_so_much_is_read_ahead_and_no_more() -> None:
    account, budget = Slow(), Budget(1 << 20)
    found = _download(account, budget, 15 * SIZE, 30)
    found.begin(last=False)
    await _turns()
    assert account.reading == 3 and budget.used == 15 * SIZE
    account.open.set()
    assert _numbers(await _taken(found, 5)) == _wanted(1, 6)
    found.begin(last=False)
    assert budget.used == 15 * SIZE, "what is being sent is counted too"
    assert _numbers(await _taken(found, 1)) == _wanted(6, 7)
    found.begin(last=False)
    assert budget.used == 15 * SIZE
    await found.aclose()
    await _turns()
    assert budget.used == 0 and account.reading == 0


async def test_reading_ahead_leaves_half_of_the_budget_to_others() -> None:
    account, budget = Slow(), Budget(40 * SIZE)
    many = [_download(account, budget, 15 * SIZE, 30) for _ in range(4)]
    for each in many:
        each.begin(last=True)
    await _turns()
    assert account.reading == 4 and budget.used == 20 * SIZE
    account.open.set()

    async def whole(each: Download) -> list[object]:
        out: list[object] = []
        for _ in range(30):
            each.begin(last=True)
            out += await _taken(each, 1)
        await each.aclose()
        return out

    for seen in await asyncio.gather(*map(whole, many)):
        assert _numbers(seen) == _wanted(1, 31)
    assert budget.used == 0


async def test_who_waits_for_the_budget_holds_nothing() -> None:
    account, budget = Slow(), Budget(6 * SIZE)
    account.open.set()
    many = [_download(account, budget, 15 * SIZE, 30) for _ in range(5)]

    async def whole(each: Download) -> list[object]:
        each.begin(last=True)
        seen = await _taken(each, 30)
        await each.aclose()
        return seen

    async with asyncio.timeout(5):
        for seen in await asyncio.gather(*map(whole, many)):
            assert _numbers(seen) == _wanted(1, 31)
    assert budget.used == 0


async def test_what_cannot_be_read_ends_it_and_the_rest_is_forgotten() -> None:
    account, budget = Slow(), Budget(1 << 20)
    account.failing = {8, 13}
    account.open.set()
    found = _download(account, budget, 100 * SIZE, 30)
    found.begin(last=True)
    await _turns()
    assert _numbers(await _taken(found, 5)) == _wanted(1, 6)
    with pytest.raises(Unavailable):
        await _taken(found, 5)
    await found.aclose()
    assert budget.used == 0


async def test_a_fetch_reads_ahead_across_pages(at: Desk) -> None:
    for start in range(0, 1200, 400):
        await at.deliver(*[letter(f"number {n}") for n in range(start, start + 400)])
    ann = at.select(read_only=True)
    ann.view.mailbox.pages_ahead = 4
    account, most, now = ann.view.account, 0, 0
    body_runs = account.body_runs

    async def counted(places: Sequence[Location]) -> AsyncIterator[Any]:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        async for run in body_runs(places):
            yield run
        now -= 1

    account.body_runs = counted  # type: ignore[method-assign, assignment]
    answer = await ann.say("FETCH 1:* BODY.PEEK[]")
    found = [answer.index(b"* %d FETCH (BODY[] {" % number) for number in range(1, 1201)]
    assert found == sorted(found) and answer.count(b"Subject: number ") == 1200
    assert most > 1 and now == 0


class Near:
    """An account in a folder."""

    def __init__(self) -> None:
        self.streams: list[int] = []

    async def body_runs(self, places: Sequence[Location]) -> AsyncIterator[list[bytes]]:
        self.streams.append(len(places))
        for at in places:
            yield [bytes(at.length)]


async def test_a_folder_is_read_in_one_stream_and_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_NEAR", 3 * SIZE)
    account, budget = Near(), Budget(4 * SIZE)
    found = Download(cast(Account, account), budget, 0)
    found.add([Location("pack/1", SIZE * uid, SIZE, b"", uid) for uid in range(10)])
    given, runs = 0, found.runs(10)
    while not given:
        given += len(await anext(runs))
    assert account.streams == [10] and budget.used == 3 * SIZE

    other = asyncio.ensure_future(budget.take(2 * SIZE))  # more than is left
    more = asyncio.ensure_future(anext(runs))
    while not other.done():
        await asyncio.wait([more])
        given += len(more.result())
        more = asyncio.ensure_future(anext(runs))
        await asyncio.wait([more, other], timeout=1, return_when=asyncio.FIRST_COMPLETED)
    assert given == 4, "after what it took from the budget, and a message over"
    await _turns()
    assert not more.done(), "it waits for the other now"
    budget.give(2 * SIZE)
    given += len(await more) + sum([len(run) async for run in runs])
    assert given == 10 and account.streams == [10]
    await found.aclose()
    assert budget.used == 0


async def test_of_a_large_message_in_a_folder_all_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_NEAR", 3 * SIZE)
    account, budget = Near(), Budget(20 * SIZE)
    found = Download(cast(Account, account), budget, 0)
    found.add([Location("pack/1", 0, 8 * SIZE, b"", 1), Location("pack/2", 0, SIZE, b"", 2)])
    async for _ in found.runs(2):
        assert budget.used == 8 * SIZE
    await found.aclose()
    assert budget.used == 0
