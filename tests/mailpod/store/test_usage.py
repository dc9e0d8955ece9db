"""Usage: right without opening accounts, and cheap where nothing happens."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.mailpod.store.faults import FakeClock, Faulty, mail, make_world

from mailpod.store import Account, NewMessage
from mailpod.store.memory import MemoryObjects
from mailpod.store.names import log_key
from mailpod.store.objects import NotFound
from mailpod.store.usage import Usage, UsageReader


def held(account: Account) -> Usage:
    return Usage(account.usage_bytes, account.usage_messages)


@pytest.mark.parametrize("checkpoint", [False, True])
async def test_it_follows_every_kind_of_change(checkpoint: bool) -> None:
    world = await make_world(together_messages=2)
    store = world.pod()
    account = await store.open(world.ref)
    chance, size = random.Random(4), 40  # of equal sizes, so that the mean is no estimate
    for step in range(60):
        boxes = list(account.mailboxes.values())
        box, other = chance.choice(boxes), chance.choice(boxes)
        match chance.randrange(7):
            case 0 | 1 | 2:
                new = [NewMessage(mail(10 + n, size)) for n in range(chance.randrange(1, 4))]
                await account.append(box.name, new, later=chance.random() < 0.5)
            case 3:
                await account.expunge(box, list(box.uids)[:2])
            case 4 if box is not other:
                await account.copy(box, list(box.uids)[:3], other.name)
            case 5 if box is not other:
                await account.move(box, list(box.uids)[:2], other.name)
            case 6:
                await account.store_flags(box, list(box.uids), "add", ["\\Seen"])
        if checkpoint and step % 9 == 0:
            await store.checkpoint(account)
        assert await UsageReader(world.objects, world.clock).read(world.ref) == held(account)
    deleted = await account.create("gone")
    await account.append("gone", [NewMessage(mail(10, size))])
    await account.delete(deleted.name)
    assert await UsageReader(world.objects, world.clock).read(world.ref) == held(account)


async def test_a_quiet_account_costs_one_request_and_ever_fewer_of_them() -> None:
    world = await make_world()
    account = await world.pod().open(world.ref)
    await account.append("INBOX", [NewMessage(mail())])
    bucket: Any = Faulty(world.objects)
    reader = UsageReader(bucket, world.clock)
    before = await reader.read(world.ref)
    bucket.requests.clear()
    for _ in range(12):  # an hour of sweeps
        world.clock.time += 300
        assert await reader.read(world.ref) == before
    assert 2 <= len(bucket.requests) <= 5
    await account.append("INBOX", [NewMessage(mail(2))])
    world.clock.time += 3600
    assert await reader.read(world.ref) == held(account)


async def test_a_busy_account_is_read_on_from_its_checkpoints() -> None:
    world = await make_world()
    store = world.pod()
    account = await store.open(world.ref)
    reader = UsageReader(world.objects, world.clock)
    for number in range(150):
        await account.append("INBOX", [NewMessage(mail(number, size=number))])
        if number % 20 == 0:
            await store.checkpoint(account)
        if number % 50 == 0:
            world.clock.time += 3600
            assert await reader.read(world.ref) == held(account)
    await account.expunge(account.mailbox("INBOX"), list(account.mailbox("INBOX").uids)[:5])
    world.clock.time += 3600
    found = await reader.read(world.ref)
    assert found.messages == 145 and abs(found.bytes - account.usage_bytes) < 1000  # bytes by the mean


async def test_no_account() -> None:
    world = await make_world()
    with pytest.raises(NotFound):
        await UsageReader(MemoryObjects(), FakeClock()).read(world.ref)


async def test_of_a_damaged_log_it_tells_what_is_wrong_and_what_is_before_it() -> None:
    world = await make_world()
    account = await world.pod().open(world.ref)
    for number in range(4):
        await account.append("INBOX", [NewMessage(mail(number))])
    reader = UsageReader(world.objects, world.clock)
    key = log_key(world.ref.prefix, 4)
    data = await world.objects.get(key)
    for wrong, words in (
        (b"no commit", "cannot be read"),
        (data.replace(b'"prev":"', b'"prev":"x'), "does not follow"),
    ):
        await world.objects.put(key, [wrong])
        world.clock.time += 7 * 3600
        found = await reader.read(world.ref)
        assert (found.messages, found.bytes) == (2, 2 * len(mail(0))) and words in found.damage
    await world.objects.put(key, [data])
    world.clock.time += 7 * 3600
    assert await reader.read(world.ref) == held(account)
