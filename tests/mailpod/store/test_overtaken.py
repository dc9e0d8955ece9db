"""STORE.md rule 13: a pod that is slow finds what was moved and collected before it came to it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mailpod.errors import Damaged, Expunged
from mailpod.store import Account, Store
from mailpod.store.names import log_key

from .collecting import aged, filled, keys
from .faults import Faulty, World, mail


async def _overtaken(world: World, store: Store, account: Account) -> None:
    """Everything is moved, written anew and collected, while somebody else stands still."""
    await account.refresh()
    while await store.pack(account, force=True):
        pass
    for _ in range(3):
        await aged(world, store, account, 2)
        await store.collect(world.ref)
    assert len(await keys(world, "log")) < 10


async def test_rule_13_a_slow_reader_finds_what_was_moved() -> None:
    world, store, account = await filled(20)
    slow = await world.pod().open(world.ref)
    box = slow.mailbox("INBOX")
    places = [page.location(row) async for page, rows in box.pages(box.uids) for row in rows]
    await _overtaken(world, store, account)
    assert [data async for data in slow.bodies(places)] == [mail(number) for number in range(20)]
    assert await slow.body(places[4], 3, 9) == mail(4)[3:9]
    assert slow.mailbox("INBOX") is box


async def test_rule_13_a_slow_reader_waits_for_another_that_opens_the_account_again() -> None:
    """Found by simulation: the state that is being read was taken for the reader's own, which is still the old one."""
    world, store, account = await filled(20)
    objects: Any = Faulty(world.objects)
    slow = await world.pod(objects).open(world.ref)
    places = [page.location(row) async for page, rows in slow.mailbox("INBOX").pages([3, 4]) for row in rows]
    await _overtaken(world, store, account)
    second: list[asyncio.Task[bytes]] = []
    opened = asyncio.Event()

    async def listed(prefix: str, **limits: Any) -> Any:  # the first reader begins; so does the second
        if not second and prefix.endswith("/checkpoint/"):
            second.append(asyncio.create_task(slow.body(places[1])))
            await asyncio.sleep(0)
        return await world.objects.list(prefix, **limits)

    async def ranged(key: str, start: int, end: int) -> bytes:  # the second is answered while the first reads on
        if second:
            await opened.wait()
        return await world.objects.get_range(key, start, end)

    async def headed(key: str, size: int) -> Any:
        opened.set()
        for _ in range(20):
            await asyncio.sleep(0)
        return await world.objects.get_head(key, size)

    objects.list, objects.get_range, objects.get_head = listed, ranged, headed
    assert await slow.body(places[0]) == mail(2)
    assert await second[0] == mail(3)


async def test_rule_13_a_slow_reader_finds_pages_that_were_written_anew() -> None:
    world, store, account = await filled(40)
    assert await store.checkpoint(account)
    slow = await world.pod().open(world.ref)
    box = slow.mailbox("INBOX")
    walk = box.pages(box.uids)
    seen = [page.uids[row] for page, rows in [await anext(walk)] for row in rows]
    await _overtaken(world, store, account)
    seen += [page.uids[row] async for page, rows in walk for row in rows]
    assert seen == list(range(1, 41))


async def test_rule_13_a_message_expunged_meanwhile_is_expunged_and_not_damaged() -> None:
    world, store, account = await filled(20)
    slow = await world.pod().open(world.ref)
    box = slow.mailbox("INBOX")
    places = [page.location(row) async for page, rows in box.pages(box.uids) for row in rows]
    await account.expunge(account.mailbox("INBOX"), [3])
    await _overtaken(world, store, account)
    with pytest.raises(Expunged):
        await slow.body(places[2])
    assert await slow.body(places[3]) == mail(3)


async def test_rule_13_what_is_gone_for_good_is_damage_and_is_not_looked_for_again_and_again() -> None:
    world, store, account = await filled(5)
    assert await store.checkpoint(account)
    await world.objects.delete([log_key(world.ref.prefix, 4)])
    faulty = Faulty(world.objects)
    fresh = await world.pod(faulty).open(world.ref)
    places = [page.location(row) async for page, rows in fresh.mailbox("INBOX").pages([3, 4]) for row in rows]
    with pytest.raises(Damaged):
        await fresh.body(places[0])
    assert await fresh.body(places[1]) == mail(3)
    faulty.requests.clear()
    with pytest.raises(Damaged):
        await fresh.body(places[0])
    assert len(faulty.requests) == 1
