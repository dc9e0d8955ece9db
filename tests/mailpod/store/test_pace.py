"""Clients come first: background work in turns, counted in a clock's time and not by how long anything takes."""

from __future__ import annotations

import gc
import sys
from itertools import pairwise

import pytest
import uvloop

from mailpod import cli
from mailpod.store import NewMessage, StoreSettings, indexing
from mailpod.store.pace import Pace
from mailpod.store.postings import Builder

from .faults import FakeClock, make_world

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
