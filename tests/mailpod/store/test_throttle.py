"""One mailbox cannot starve the pod: what is asked of the bucket at once is bounded, and shared out by account."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY

from mailpod.store.memory import MemoryObjects
from mailpod.store.metered import MeteredObjects, domain_of
from mailpod.store.objects import NotFound
from mailpod.store.throttle import ThrottledObjects, lane_of

BUSY, CALM = "accounts/x.test/busy/i/", "accounts/x.test/calm/i/"


class Slow:
    """Answers when the test says so; knows what is under way."""

    def __init__(self) -> None:
        self.open: list[tuple[str, asyncio.Future[bytes]]] = []
        self.most = 0

    async def get(self, key: str) -> bytes:
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.open.append((key, future))
        self.most = max(self.most, len(self.open))
        return await future

    def finish(self, at: int = 0) -> str:
        key, future = self.open.pop(at)
        future.set_result(key.encode())
        return key


async def _turn() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def _start(objects: ThrottledObjects, *keys: str) -> list[asyncio.Task[bytes]]:
    return [asyncio.ensure_future(objects.get(key)) for key in keys]


async def test_an_account_that_asks_for_much_leaves_room_for_the_others() -> None:
    slow = Slow()
    objects = ThrottledObjects(cast(Any, slow), total=8, per_account=3)
    many = _start(objects, *(f"{BUSY}log/{number}" for number in range(50)))
    await _turn()
    assert len(slow.open) == 3
    other = _start(objects, f"{CALM}log/1", "directory/x.test/!domain")
    await _turn()
    assert [key for key, _ in slow.open[3:]] == [f"{CALM}log/1", "directory/x.test/!domain"]
    while slow.open:
        slow.finish()
        await _turn()
        assert sum(key.startswith(BUSY) for key, _ in slow.open) <= 3
    assert [task.result() for task in many] == [f"{BUSY}log/{number}".encode() for number in range(50)]
    await asyncio.gather(*other)


async def test_who_waits_is_served_account_by_account() -> None:
    slow = Slow()
    objects = ThrottledObjects(cast(Any, slow), total=2, per_account=2)
    tasks = _start(objects, *(f"{BUSY}log/{number}" for number in range(6)))
    tasks += _start(objects, *(f"{CALM}log/{number}" for number in range(3)))
    order: list[str] = []
    for _ in range(9):
        await _turn()
        order.append(slow.finish().split("/")[2])
    assert slow.most == 2
    assert order == ["busy", "busy", "busy", "calm", "busy", "calm", "busy", "calm", "busy"]
    await asyncio.gather(*tasks)


async def test_who_goes_away_frees_its_place_wherever_it_was() -> None:
    slow = Slow()
    objects = ThrottledObjects(cast(Any, slow), total=1, per_account=1)
    first, second, third = _start(objects, f"{BUSY}1", f"{BUSY}2", f"{CALM}3")
    await _turn()
    second.cancel()
    await _turn()
    assert [key for key, _ in slow.open] == [f"{BUSY}1"]
    first.cancel()
    await _turn()
    assert [key for key, _ in slow.open][1:] == [f"{CALM}3"]
    slow.finish(1)
    assert await third == f"{CALM}3".encode()
    assert objects._active == 0 and not objects._lanes and not objects._turns
    assert REGISTRY.get_sample_value("mailpod_bucket_requests_waiting") == 0


async def test_one_that_is_cancelled_as_its_turn_comes_gives_it_on() -> None:
    slow = Slow()
    objects = ThrottledObjects(cast(Any, slow), total=1, per_account=1)
    first, second, third = _start(objects, f"{BUSY}1", f"{BUSY}2", f"{CALM}3")
    await _turn()
    slow.finish()
    await asyncio.sleep(0)  # the first has gone on, and the next was called
    for task in (second, third):
        if not task.done():
            task.cancel()
    await _turn()
    assert first.done() and objects._active == 0
    (again,) = _start(objects, f"{BUSY}4")
    await _turn()
    slow.finish(-1)
    assert await again == f"{BUSY}4".encode()


async def test_errors_and_the_whole_interface_pass_through() -> None:
    objects = ThrottledObjects(MemoryObjects(), total=1, per_account=1)
    with pytest.raises(NotFound):
        await objects.get("a/1")
    await objects.create("a/1", [b"x"])
    await objects.put("a/2", [b"y"])
    assert [entry.key for entry in await objects.list("a/")] == ["a/1", "a/2"]
    assert await objects.list_folders("") == ["a"]
    assert await objects.get_range("a/1", 0, 1) == b"x" == (await objects.get_head("a/1", 9))[0]
    await objects.delete(["a/1", "a/2"])
    assert objects.read_ahead == 1 and objects._active == 0


def test_lanes_and_domains() -> None:
    assert lane_of(f"{BUSY}log/1") == BUSY[:-1] == lane_of(BUSY)
    assert lane_of("outbound/1-2/message") == "outbound" and lane_of("directory/x.test/a/address") == "directory"
    assert domain_of(f"{BUSY}log/1") == "x.test" == domain_of("directory/x.test/!domain")
    assert domain_of("outbound/1-2/message") == "" == domain_of(".mailpod/clock")


async def test_strangers_make_no_labels() -> None:
    objects = MeteredObjects(MemoryObjects())
    with pytest.raises(NotFound):
        await objects.get("directory/invented.test/!domain")
    found = [
        sample.labels["domain"]
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name.startswith("mailpod_bucket") and "domain" in sample.labels
    ]
    assert found and "invented.test" not in found
