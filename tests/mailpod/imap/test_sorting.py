"""SORT by an order that is remembered: the answers that sorting afresh gives, whatever came and went meanwhile."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from tests.mailpod.imap.selected import Desk, desk, letter

from mailpod.imap import placing, sortkeys
from mailpod.imap.commands.search import begin
from mailpod.imap.sorting import in_order
from mailpod.imap.syntax_search import All, SearchArgs, SortKey

KEYS = ["ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO"]


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk(search_due=8, search_batch=16, search_segment=32) as found:
        yield found


def some_letter(rng: random.Random) -> bytes:
    """Equal to others in much."""
    names = {name: f"{rng.choice('abc')} <{rng.choice('xyz')}@a>" for name in ("from", "to", "cc")}
    date = f"{rng.randrange(1, 4)} Feb 1994 21:52:25 {rng.choice(['-0800', '+0000'])}"
    return letter(rng.choice(["one", "Re: One", "two", ""]), "x" * rng.randrange(3), date=date, **names)


async def deliver(at: Desk, rng: random.Random, count: int) -> None:
    for _ in range(count):
        await at.deliver(some_letter(rng), date=86_400 * rng.randrange(3))


def criteria(rng: random.Random) -> tuple[SortKey, ...]:
    return tuple(SortKey(name, rng.random() < 0.5) for name in rng.sample(KEYS, rng.choice([1, 1, 2])))


async def both(client: Any, positions: Sequence[int], by: tuple[SortKey, ...]) -> tuple[list[int], list[int]]:
    """As it is remembered, and as it is sorted afresh."""
    search = begin(client, SearchArgs(All(), None, uid=False))
    return list(await in_order(search, positions, by)), await sortkeys.compared(search, positions, by)


@pytest.mark.parametrize("seed", range(3))
async def test_the_answers_are_those_of_sorting_afresh(at: Desk, seed: int) -> None:
    rng = random.Random(seed)
    await deliver(at, rng, 50)
    while await at.store.index(at.account):
        pass
    asked = [criteria(rng) for _ in range(5)]
    clients = [at.select(), at.select()]
    for _ in range(25):
        change = rng.choice([deliver, deliver, None])
        if change is not None:
            await change(at, rng, rng.choice([1, 3, placing.FEW + 1]))
        box = at.account.mailbox("INBOX")
        await at.account.expunge(box, rng.sample(list(box.uids), rng.choice([0, 0, 1, 5])))
        client = rng.choice(clients)
        if rng.random() < 0.7:
            client.view.poll(allow_expunge=True)
        count = client.view.exists
        positions = sorted(rng.sample(range(count), rng.choice([count, count, count // 2, count // 9])))
        by = rng.choice(asked)
        known, afresh = await both(client, positions, by)
        assert known == afresh, by


async def test_only_what_came_is_compared(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    gathers: list[int] = []
    gathered = sortkeys.gathered

    def counting(search: Any, positions: Sequence[int], names: Sequence[str]) -> Any:
        gathers.append(len(positions))
        return gathered(search, positions, names)

    monkeypatch.setattr(sortkeys, "gathered", counting)
    monkeypatch.setattr(placing, "gathered", counting)
    await deliver(at, random.Random(1), 40)
    ann = at.select()
    answer = await ann.say("SORT (SUBJECT) UTF-8 ALL")
    assert gathers == [40]
    gathers.clear()
    assert await at.select().say("SORT (SUBJECT) UTF-8 ALL") == answer, "another session's"
    numbers = answer.split(b"\r\n")[0].removeprefix(b"* SORT ").split()
    half = b" ".join(number for number in numbers if int(number) <= 20)
    assert await ann.say("SORT (SUBJECT) UTF-8 1:20") == b"* SORT %b\r\nOK SORT completed\r\n" % half
    await at.account.expunge(ann.view.mailbox, [int(numbers[0])])
    assert len((await at.select().say("SORT (SUBJECT) UTF-8 ALL")).split(b"\r\n")[0].split()) == 2 + 39
    assert gathers == []
    await at.deliver(letter("two"))
    await at.select().say("SORT (SUBJECT) UTF-8 ALL")
    assert set(gathers) == {1} and len(gathers) < 8, "what came, and with each half the others that it is among"


async def test_an_order_without_all_is_not_remembered(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await deliver(at, random.Random(1), 3)
    ann = at.select()
    compared = sortkeys.compared

    async def less(*asked: Any) -> list[int]:
        return (await compared(*asked))[1:]

    with monkeypatch.context() as lost:
        lost.setattr("mailpod.imap.sorting.compared", less)
        assert len((await ann.say("SORT (SIZE) UTF-8 ALL")).split(b"\r\n")[0].split()) == 2 + 2
    assert len((await ann.say("SORT (SIZE) UTF-8 ALL")).split(b"\r\n")[0].split()) == 2 + 3


async def test_it_is_bounded() -> None:
    async with desk(search_cache_bytes=8 * 4_000) as found:
        await deliver(found, random.Random(1), 100)
        ann = found.select()
        for name in KEYS:
            await ann.say(f"SORT ({name}) UTF-8 ALL")
        kept = [found.account.order(ann.view.mailbox, (SortKey(name, reverse=False),)) for name in KEYS]
        assert [each is not None for each in kept] == [False] * 6 + [True] * 3
