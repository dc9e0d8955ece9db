"""Pods that write to one account at once: each gets its turn, and who does not is told so (STORE.md rule 6)."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from mailpod.clock import SystemClock
from mailpod.errors import Unavailable
from mailpod.store import Account, NewMessage
from mailpod.store.log import RIVALS
from mailpod.store.turns import Turns

from . import faults
from .faults import FakeClock, Faulty, mail, make_world

LATENCY = 0.1  # seconds of a PUT, in the pods' time; a GET takes half as long again
FASTER = 20  # than ours


class QuickClock(SystemClock):
    """A second of the pods passes in a twentieth of ours."""

    def elapsed(self) -> float:
        return super().elapsed() * FASTER

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / FASTER)


class Distant(faults.Distant):
    """Some time away; a GET takes longer than a commit."""

    def __init__(self) -> None:
        super().__init__(lambda: asyncio.sleep(LATENCY / 2 / FASTER))

    async def get_with_time(self, key: str) -> tuple[bytes, float]:
        try:
            return await super().get_with_time(key)
        finally:
            await self.travel()


async def append_for_ever(account: Account) -> None:
    while True:
        await account.append("INBOX", [NewMessage(mail())])


async def test_a_pod_that_never_pauses_keeps_no_other_out() -> None:
    world = await make_world(Distant(), commit_deadline=1e6)
    clock = QuickClock()
    busy, other = await world.pod(clock=clock).open(world.ref), await world.pod(clock=clock).open(world.ref)
    clients = [asyncio.create_task(append_for_ever(busy)) for _ in range(4)]
    try:
        async with asyncio.timeout(30):  # for ever, without turns
            for _ in range(5):
                await other.append("INBOX", [NewMessage(mail())])
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        await busy.committer.idle()


async def test_who_opens_what_a_busy_pod_writes_is_not_outrun_by_it() -> None:
    """A GET takes longer than a commit here: one after the other they would never come to the end."""
    world = await make_world(Distant(), commit_deadline=1e6, checkpoint_commits=10_000)
    clock = QuickClock()
    busy = await world.pod(clock=clock).open(world.ref)
    for _ in range(60):
        await busy.append("INBOX", [NewMessage(mail())])
    clients = [asyncio.create_task(append_for_ever(busy)) for _ in range(4)]
    try:
        async with asyncio.timeout(30):
            other = await world.pod(clock=clock).open(world.ref)
        assert other.head >= 60
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        await busy.committer.idle()


async def test_who_has_just_opened_an_account_does_not_wait_for_others_that_may_be_long_gone() -> None:
    world = await make_world()
    first = await world.pod().open(world.ref)
    await first.append("INBOX", [NewMessage(mail())])
    second = await world.pod().open(world.ref)
    before = world.clock.time
    await second.append("INBOX", [NewMessage(mail())])
    assert world.clock.time == before
    await first.refresh()
    await first.append("INBOX", [NewMessage(mail())])
    assert world.clock.time > before, "of one who writes now it waits for its turn"


async def test_who_loses_every_race_until_its_deadline_is_told_so() -> None:
    world = await make_world()
    winner = await world.pod().open(world.ref)
    faulty = Faulty(world.objects)
    loser = await world.pod(faulty).open(world.ref)

    async def win() -> None:
        world.clock.time += 4
        await winner.append("INBOX", [NewMessage(mail())])

    faulty.script.extend([win] * 100)
    with pytest.raises(Unavailable):
        await loser.append("INBOX", [NewMessage(b"Subject: lost\r\n\r\n")])
    assert 3 <= 100 - len(faulty.script) <= 5, "15 seconds of races"
    await winner.refresh()
    assert winner.mailbox("INBOX").exists == 100 - len(faulty.script), "nothing of the loser's is there"

    faulty.script.clear()
    await loser.append("INBOX", [NewMessage(mail())])


class Chosen(random.Random):
    """The middle of every range."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


async def waited(turns: Turns, clock: FakeClock, *, age: float = 0.0, lost: bool = False) -> float:
    """Before a commit of what came so many seconds ago."""
    before = clock.time
    await turns.wait(before - age, lost=lost)
    return round(clock.time - before, 4)  # of a clock that began long ago


def commit(turns: Turns, clock: FakeClock, seconds: float = 0.1, *, won: bool = True) -> None:
    sent = clock.elapsed()
    clock.time += seconds
    turns.answered(sent, won=won)
    if not won:
        turns.foreign("pod-1")


@pytest.fixture
def alone() -> tuple[Turns, FakeClock]:
    """One that knows a latency of 0.1 s, and no other pod."""
    clock = FakeClock()
    turns: Any = Turns(clock, Chosen(), patience=7.5)
    commit(turns, clock)
    clock.time += 10
    return turns, clock


async def test_the_last_winner_steps_back_for_each_of_the_others(alone: tuple[Turns, FakeClock]) -> None:
    turns, clock = alone
    commit(turns, clock, won=False)
    commit(turns, clock)
    assert await waited(turns, clock) == 0.3, "two pods, 1.5 latencies for each"
    for pod in range(1, 5):
        turns.foreign(f"pod-{pod}")
    commit(turns, clock)
    assert await waited(turns, clock) == 0.75
    commit(turns, clock)
    clock.time += 0.5
    assert await waited(turns, clock) == 0.25, "what has passed since counts"
    clock.time += 2.1
    assert await waited(turns, clock) == 0, "nobody was there for a while"


async def test_who_has_waited_longer_goes_first(alone: tuple[Turns, FakeClock]) -> None:
    turns, clock = alone
    commit(turns, clock, won=False)
    assert await waited(turns, clock, lost=True) == 0.3
    assert await waited(turns, clock, lost=True, age=0.25) == 0.15
    assert await waited(turns, clock, lost=True, age=0.5) == 0, "as long as two pods need for a commit each"
    turns.foreign("pod-2")
    assert await waited(turns, clock, lost=True, age=0.375) == 0.15
    commit(turns, clock)
    assert await waited(turns, clock, age=0.375) == 0.225, "as the last winner does"

    for _ in range(100):
        commit(turns, clock, 3.0, won=False)
    assert await waited(turns, clock, lost=True, age=7.5) == 0, "half of the deadline is gone"


async def test_alone_it_leaves_a_gap_every_few_seconds_only_where_it_left_none(alone: tuple[Turns, FakeClock]) -> None:
    turns, clock = alone
    waits = []
    for _ in range(100):
        waits.append(await waited(turns, clock))
        commit(turns, clock)
    assert [wait for wait in waits if wait] == [0.5, 0.5]

    turns = Turns(clock, Chosen(), patience=7.5)
    for _ in range(100):
        clock.time += 0.5
        assert await waited(turns, clock) == 0
        commit(turns, clock)

    turns, waits = Turns(clock, Chosen(), patience=7.5), []
    for _ in range(900):
        waits.append(await waited(turns, clock))
        commit(turns, clock, 0.005)
    assert [wait for wait in waits if wait] == [0.025] * 4, "once a second, where it takes no longer"


async def test_who_lost_a_race_looks_before_the_next_until_there_is_nothing_new() -> None:
    world = await make_world()
    other = await world.pod().open(world.ref)
    faulty = Faulty(world.objects)
    account = await world.pod(faulty).open(world.ref)

    async def append() -> list[str]:
        """What was asked of the log, for one commit."""
        faulty.requests.clear()
        await account.append("INBOX", [NewMessage(mail())])
        return [name for name, key in faulty.requests if "/log/" in key]

    async def behind() -> None:
        for _ in range(3):
            await other.append("INBOX", [NewMessage(mail())])

    await other.refresh()
    assert await append() == ["create"]
    await other.refresh()
    await behind()
    once = ["get_head"] * RIVALS
    assert await append() == ["create", *once, "create"], "all three were read at once"
    await other.refresh()
    await behind()
    assert await append() == [*once, "create"]
    assert await append() == [*once, "create"], "nothing was new"
    assert await append() == ["create"]


async def test_what_comes_while_a_commit_loses_goes_along_with_it() -> None:
    world = await make_world()
    winner = await world.pod().open(world.ref)
    faulty = Faulty(world.objects)
    loser = await world.pod(faulty).open(world.ref)
    tasks: list[asyncio.Task[Any]] = []

    async def win() -> None:
        await winner.append("INBOX", [NewMessage(mail(1))])
        tasks.extend(asyncio.create_task(loser.append("INBOX", [NewMessage(mail(2))])) for _ in range(5))
        await asyncio.sleep(0)

    faulty.script.append(win)
    await loser.append("INBOX", [NewMessage(mail(3))])
    await asyncio.gather(*tasks)
    assert len([key for key, _ in faulty.creates if "/log/" in key]) == 2
    assert loser.mailbox("INBOX").exists == 7
