"""Clients come first: background work in turns, counted in a clock's time and not by how long anything takes."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Sequence
from itertools import pairwise

import pytest
import uvloop

from mailpod import cli
from mailpod.store import NewMessage, StoreSettings, indexing, upkeep
from mailpod.store.location import Location
from mailpod.store.objects import Buffer
from mailpod.store.pace import Pace
from mailpod.store.planned import Job
from mailpod.store.postings import Builder

from .faults import FakeClock, Faulty, make_world

QUIET, PATIENCE = 1 / 128, 1 / 4  # exact in binary


def paced() -> tuple[FakeClock, Pace]:
    clock = FakeClock(0.0)
    return clock, Pace(clock, StoreSettings(background_quiet=QUIET, background_patience=PATIENCE))


async def test_without_clients_a_turn_begins_at_once() -> None:
    clock, pace = paced()
    async with pace.turn():
        assert clock.time == 0


async def test_a_turn_waits_until_clients_rest() -> None:
    clock, pace = paced()
    with pace:
        clock.time = 5
    async with pace.turn():
        assert clock.time == pytest.approx(5 + QUIET)
    pace.stir()
    async with pace.turn():
        assert clock.time == pytest.approx(5 + 2 * QUIET)


async def test_clients_that_never_rest_leave_a_turn_now_and_then() -> None:
    clock, pace = paced()
    turns = 0
    with pace:
        while clock.time < 10:
            async with pace.turn():
                turns += 1
    assert turns == pytest.approx(10 / PATIENCE, abs=1)


async def test_after_a_turn_nothing_is_done_for_as_long() -> None:
    clock, pace = paced()
    async with pace.turn():
        clock.time += 0.004
    assert clock.time == pytest.approx(0.008)


async def test_clients_wait_for_one_turn_of_indexing_and_not_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await make_world(search_due=4, search_turn_bytes=1000, background_patience=PATIENCE)
    store = world.pod()
    account = await store.open(world.ref)
    messages = [b"Subject: %d\r\n\r\n" % number + b"word " * 60 for number in range(30)]
    messages[7] += b"long " * 600
    await account.append("INBOX", [NewMessage(message) for message in messages])
    turns: list[tuple[float, list[int]]] = []
    take = indexing._take

    def noted(builder: Builder, texts: list[indexing._Text]) -> None:
        turns.append((world.clock.time, [len(text.data or b"") for text in texts]))
        take(builder, texts)

    monkeypatch.setattr(indexing, "_take", noted)
    with store.pace:  # a client that is never done
        assert await store.index(account)
    assert sum(len(sizes) for _, sizes in turns) == len(messages)
    assert all(sum(sizes) <= 1000 or len(sizes) == 1 for _, sizes in turns)
    times = [time for time, _ in turns]
    assert all(later - time >= PATIENCE for time, later in pairwise(times))


async def test_a_checkpoint_waits_until_clients_rest_but_not_for_ever() -> None:
    world = await make_world(checkpoint_commits=3, checkpoint_interval=4.0, pack_patience=0.25, search_due=0)
    begun: list[float] = []
    written = asyncio.Event()

    class Noted(Faulty):
        async def create(self, key: str, data: Sequence[Buffer]) -> None:
            if "/checkpoint/" in key:
                begun.append(world.clock.time)
                written.set()
            await super().create(key, data)

    store = world.pod(Noted(world.objects))
    account = await store.open(world.ref)
    await account.append("INBOX", [NewMessage(b"Subject: 1\r\n\r\n")])
    assert await store.checkpoint(account)
    begun.clear()
    written.clear()

    with store.pace:  # a client that is never done
        asked = world.clock.time
        for flag in "abc":
            await account.store_flags(account.mailbox("INBOX"), [1], "set", [flag])
        await written.wait()
    assert begun[0] - asked == pytest.approx(4.0, abs=0.1)
    await store.close()


async def test_a_checkpoint_s_pages_are_encoded_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_LOOP_ROWS", 1)
    monkeypatch.setattr(upkeep, "_TURN_ROWS", 16)
    world = await make_world(
        page_messages=8, overlay_entries=4, checkpoint_header_bytes=1 << 30, background_patience=PATIENCE
    )
    store = world.pod()
    account = await store.open(world.ref)
    await account.append("INBOX", [NewMessage(b"Subject: %d\r\n\r\n" % number) for number in range(50)])
    turns: list[tuple[float, int]] = []
    encode = upkeep.encode_job

    def noted(job: Job, identifier: str) -> bytes:
        turns.append((world.clock.time, job.count))
        return encode(job, identifier)

    monkeypatch.setattr(upkeep, "encode_job", noted)
    with store.pace:
        assert await store.checkpoint(account)
    sizes: dict[float, list[int]] = {}
    for time, count in turns:
        sizes.setdefault(time, []).append(count)
    assert [*sizes.values()] == [[8, 8], [8, 8], [8, 8], [2], [50]]  # a page is one turn, however large
    assert all(later - time >= PATIENCE for time, later in pairwise(sizes))
    fresh = await world.pod().open(world.ref)
    assert fresh.log.base == account.log.base > 0
    assert fresh.log.state.digest() == account.log.state.digest()


async def test_a_packing_reads_and_moves_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await make_world(pack_newest=0, pack_moves=10, checkpoint_commits=1000, background_patience=PATIENCE)
    store = world.pod()
    account = await store.open(world.ref)
    for number in range(30):
        await account.append("INBOX", [NewMessage(b"Subject: %d\r\n\r\n" % number)])
    assert await store.checkpoint(account)
    read: list[float] = []
    run = store.bodies.run

    async def slow(prefix: str, places: Sequence[Location]) -> list[tuple[Location, bytes | None]]:
        read.append(world.clock.time)
        world.clock.time += 0.008
        return await run(prefix, places)

    monkeypatch.setattr(store.bodies, "run", slow)
    head, began = account.head, world.clock.time
    with store.pace:
        assert await store.pack(account, force=True) == 30
    assert len(read) == 30  # each a commit of its own
    turns = 1 + sum(later - time >= PATIENCE for time, later in pairwise(read))
    assert turns == 8  # of four, which take longer than a turn should
    assert account.head == head + 3
    assert world.clock.time - began >= (turns + 1 + 3) * PATIENCE  # one in which the pack is made, three that move


def test_a_pod_s_threads_and_garbage_let_the_loop_in_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that computes keeps the interpreter for so long each time the loop's thread comes back from the disk; so
    does the garbage collector, the longer the more it goes through."""
    before = sys.getswitchinterval()
    set_to: list[float] = []
    frozen: list[bool] = []
    monkeypatch.setattr(sys, "setswitchinterval", set_to.append)
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(True))
    monkeypatch.setattr(uvloop, "run", lambda serving: serving.close())
    cli.main(["serve", "--config", "nowhere.json"])
    assert set_to
    assert set_to[0] <= before / 10
    assert frozen
