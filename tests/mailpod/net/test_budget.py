"""Bytes in flight: first come, first served, and nothing is lost with who gives up."""

from __future__ import annotations

import asyncio

import pytest

from mailpod.net.budget import Budget


async def test_taking_and_giving() -> None:
    budget = Budget(100)
    assert budget.try_take(60)
    assert not budget.try_take(60)
    assert budget.try_take(40)
    budget.give(100)
    assert budget.used == 0


async def test_what_is_free_is_what_may_be_taken() -> None:
    budget = Budget(100)
    assert budget.free == 100
    assert budget.try_take(300), "a single request above the total"
    assert budget.free == 0
    budget.give(270)
    waiting = asyncio.ensure_future(budget.take(90))
    await asyncio.sleep(0)
    assert budget.free == 0, "somebody waits for what there is"
    budget.give(30)
    await waiting
    assert budget.free == 10


async def test_who_waits_is_served_in_turn() -> None:
    budget, order = Budget(100), list[str]()
    await budget.take(100)

    async def worker(name: str, count: int) -> None:
        await budget.take(count)
        order.append(name)

    tasks = [asyncio.ensure_future(worker(*work)) for work in (("large", 90), ("small", 5), ("other", 50))]
    await asyncio.sleep(0)
    assert not budget.try_take(0)  # nobody overtakes
    budget.give(100)
    await asyncio.sleep(0.01)
    assert order == ["large", "small"]
    budget.give(90)
    await asyncio.gather(*tasks)
    assert order == ["large", "small", "other"]
    assert budget.used == 55


@pytest.mark.parametrize("granted", [False, True])
async def test_who_gives_up_holds_nothing(granted: bool) -> None:
    budget = Budget(10)
    await budget.take(10)
    waiting, behind = asyncio.ensure_future(budget.take(8)), asyncio.ensure_future(budget.take(1))
    await asyncio.sleep(0)
    if granted:
        budget.give(10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    if not granted:
        budget.give(10)
    await behind
    assert budget.used == 1


async def test_one_larger_than_everything_goes_alone() -> None:
    budget = Budget(10)
    assert budget.try_take(50)
    assert not budget.try_take(1)
    budget.give(50)
    assert budget.try_take(1)
