"""Reading messages: in runs, ahead of who walks, once for many who ask, and one damaged message costs only itself."""

from __future__ import annotations

import asyncio
from operator import eq, ne
from typing import TypeGuard
from unittest.mock import Mock

import msgspec
import pytest

from mailpod.errors import Damaged
from mailpod.store import Account, Location, NewMessage, Store, nearby, packing
from mailpod.store.runs import runs

from .faults import Faulty, World, mail, make_world


class _Far(Faulty):
    """A bucket over which reading ahead is worth it."""

    read_ahead = 16

    def gets(self) -> int:
        return sum(name == "get_range" for name, _ in self.requests)


async def _packed(count: int, **settings: int) -> tuple[World, _Far, Account]:
    """A mailbox of `count` messages that came one by one, and were packed; opened by another pod."""
    by_hand = {"pack_newest": 0, "checkpoint_commits": 1 << 20, "checkpoint_header_bytes": 1 << 40}
    world = await make_world(**(by_hand | settings))
    store: Store = world.pod()
    account = await store.open(world.ref)
    for number in range(count):
        await account.append("INBOX", [NewMessage(mail(number, 200))])
    while await store.pack(account, force=True):
        pass
    await store.checkpoint(account)
    await store.close()
    far = _Far(world.objects)
    return world, far, await world.pod(far).open(world.ref)


async def _places(account: Account) -> list[Location]:
    box = account.mailbox("INBOX")
    return [page.location(row) async for page, rows in box.pages(box.uids) for row in rows]


async def test_a_first_sync_costs_fewer_than_one_get_for_a_hundred_messages() -> None:
    _, far, account = await _packed(600)
    places = await _places(account)
    assert [data async for data in account.bodies(places)] == [mail(number, 200) for number in range(600)]
    assert len(far.requests) < 600 / 100 + 4  # LIST, checkpoint and the state's page to open, then the commit after
    assert far.gets() <= 2


async def test_a_client_that_takes_one_after_the_other_is_read_ahead_of() -> None:
    _, far, account = await _packed(600, body_cache_bytes=0)
    for number, at in enumerate(await _places(account)):
        assert await account.body(at) == mail(number, 200)
    assert far.gets() <= 4


async def test_who_jumps_is_not_read_ahead_of() -> None:
    _, far, account = await _packed(300)
    places = await _places(account)
    assert await account.body(places[250]) == mail(250, 200)
    assert await account.body(places[10]) == mail(10, 200)
    assert far.gets() == 2


async def test_a_thousand_who_ask_for_one_message_make_one_get() -> None:
    _, far, account = await _packed(300)
    places = await _places(account)
    found = await asyncio.gather(*(account.body(places[7]) for _ in range(1000)))
    assert set(found) == {mail(7, 200)} and far.gets() == 1


async def test_many_who_download_at_once_share_their_gets() -> None:
    _, far, account = await _packed(300)
    places = await _places(account)

    async def download() -> list[bytes]:
        return [data async for data in account.bodies(places)]

    for found in await asyncio.gather(*(download() for _ in range(10))):
        assert found == [mail(number, 200) for number in range(300)]
    assert far.gets() <= 2


async def test_a_damaged_message_in_a_pack_costs_only_itself() -> None:
    world, _, account = await _packed(300)
    places = await _places(account)
    key = world.ref.prefix + places[5].key
    data = bytearray(await world.objects.get(key))
    data[places[5].offset + 3] ^= 1
    await world.objects.put(key, [data])
    seen = 0
    with pytest.raises(Damaged):
        async for found in account.bodies(places):
            assert found == mail(seen, 200)
            seen += 1
    assert seen == 5
    rest = [found async for found in account.bodies(places[6:])]
    assert rest == [mail(number, 200) for number in range(6, 300)]


@pytest.mark.parametrize("near", [True, False])
async def test_a_damaged_message_stands_in_its_place_among_the_others(near: bool) -> None:
    world, _, account = await _packed(60, read_run_bytes=4000)
    places = await _places(account)
    key = world.ref.prefix + places[5].key
    data = bytearray(await world.objects.get(key))
    for at in (places[5], places[40], places[59]):
        data[at.offset + at.length - 1] ^= 1
    await world.objects.put(key, [data])
    reader = await world.pod().open(world.ref) if near else account
    found = [run async for run in reader.body_runs(places)]
    assert 3 < len(found) < 30 and all(sum(map(len, filter(_is_body, run))) <= 4500 for run in found)
    each = [bytes(body) if _is_body(body) else type(body) for run in found for body in run]
    wanted: list[object] = [mail(number, 200) for number in range(60)]
    wanted[5] = wanted[40] = wanted[59] = Damaged
    assert each == wanted


async def test_what_was_checked_before_is_not_trusted_once_it_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "pack_line", lambda *_: b"")  # as older versions wrote packs
    world, _, account = await _packed(30)
    reader = await world.pod().open(world.ref)
    places = await _places(account)
    hashed = _hashed(monkeypatch)
    whole: list[object] = [mail(number, 200) for number in range(30)]
    assert await _read(reader, places) == whole and hashed.call_count == 30
    assert await _read(reader, places) == whole and hashed.call_count == 30, "the run is known"
    assert await _read(reader, places[:20]) == whole[:20] and hashed.call_count == 50, "this one is another"
    wrong = msgspec.structs.replace(places[7], checksum=bytes(16))
    assert await _read(reader, [*places[:7], wrong, *places[8:]]) == [*whole[:7], Damaged, *whole[8:]]
    key = world.ref.prefix + places[5].key
    data = bytearray(await world.objects.get(key))
    data[places[5].offset + 9] ^= 1
    await world.objects.put(key, [data])
    for _ in range(2):
        assert await _read(reader, places) == [*whole[:5], Damaged, *whole[6:]]
    data[places[5].offset + 9] ^= 1
    await world.objects.put(key, [data])
    assert await _read(reader, places) == whole


async def test_blocks_are_checked_at_once_and_what_is_no_block_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    world, _, account = await _packed(600)  # twelve whole blocks of 48, and a shorter one
    reader = await world.pod().open(world.ref)
    places = await _places(account)
    hashed = _hashed(monkeypatch)
    whole: list[object] = [mail(number, 200) for number in range(600)]
    assert await _read(reader, places) == whole and not hashed.call_count
    assert await _read(reader, places[:100]) == whole[:100] and hashed.call_count == 4
    some = places[3:300] + places[301:]
    assert await _read(reader, some) == whole[3:300] + whole[301:]
    assert hashed.call_count == 4 + 45 + 47, "the blocks of which one is missing"
    wrong = msgspec.structs.replace(places[7], checksum=bytes(16))
    assert await _read(reader, [*places[:7], wrong, *places[8:]]) == [*whole[:7], Damaged, *whole[8:]]


@pytest.mark.parametrize("packed", [True, False])
async def test_each_bit_of_a_block_that_flips_is_found(packed: bool) -> None:
    world = await make_world(pack_newest=0, checkpoint_commits=1 << 20)
    store = world.pod()
    account = await store.open(world.ref)
    await account.append("INBOX", [NewMessage(mail(number, 20)) for number in range(3)])
    if packed:
        assert await store.pack(account, force=True) == 3
    reader, places = await world.pod().open(world.ref), await _places(account)
    key, whole = world.ref.prefix + places[0].key, [mail(number, 20) for number in range(3)]
    sound = await world.objects.get(key)
    assert b'"blocks":[' in sound.partition(b"\n")[0]
    assert await _read(reader, places) == whole
    for octet in range(0 if packed else places[0].offset, len(sound)):  # of a commit's line the log itself is made
        hurt = [at.offset <= octet < at.offset + at.length for at in places]
        wanted = [Damaged if bad else message for bad, message in zip(hurt, whole, strict=True)]
        if not any(hurt):
            reader = await world.pod().open(world.ref)  # one that has not read the line
        for bit in range(8) if any(hurt) else (octet % 8,):
            data = bytearray(sound)
            data[octet] ^= 1 << bit
            await world.objects.put(key, [data])
            assert await _read(reader, places) == wanted


async def _read(reader: Account, places: list[Location]) -> list[object]:
    found = [run async for run in reader.body_runs(places)]
    return [bytes(each) if _is_body(each) else type(each) for run in found for each in run]


def _hashed(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Counts messages that are compared with their own SHA-256."""
    hashed = Mock(wraps=nearby.checksum)
    monkeypatch.setattr(nearby, "checksum", hashed)
    return hashed


def _is_body(found: object) -> TypeGuard[bytes | memoryview]:
    return isinstance(found, bytes | memoryview)


def test_runs_lie_in_one_object_ascend_and_are_bounded() -> None:
    def at(key: str, offset: int, length: int = 20) -> Location:
        return Location(key, offset, length, b"")

    places = [
        at("a", 0),
        at("a", 30),
        at("a", 61),
        at("a", 81),
        at("a", 0),
        at("b", 20),
        at("b", 40, 500),
        at("b", 540),
    ]
    assert runs(places, span=100, gap=10) == [
        places[:2],
        places[2:4],
        places[4:5],
        places[5:6],
        places[6:7],
        places[7:],
    ]
    assert runs([], span=100, gap=10) == []


def test_locations_are_equal_where_they_are_the_same_place() -> None:
    one, same, other = Location("a", 0, 1, b"x", uid=1), Location("a", 0, 1, b"x"), Location("a", 1, 1, b"x", uid=1)
    assert [(ne(one, each), eq(one, each)) for each in (same, other)] == [(False, True), (True, False)]
    assert len({one, same, other}) == 2
