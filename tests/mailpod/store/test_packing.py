"""STORE.md rules 10 and 11: bytes are moved, and whoever reads, copies or moves them meanwhile comes to no harm."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import msgspec
import pytest

from mailpod.errors import MailError, Unavailable
from mailpod.store import Account, NewMessage
from mailpod.store.checkpoint import decode_root
from mailpod.store.names import checkpoint_key, log_key
from mailpod.store.ops import Relocate

from .collecting import SMALL, aged, check_homes, filled, keys, texts
from .faults import Faulty, mail, make_world


async def test_packing_moves_small_commits_into_one_object_and_clients_notice_nothing() -> None:
    world, store, account = await filled(12)
    box = account.mailbox("INBOX")
    await account.store_flags(box, [3], "add", ["\\Seen"])
    before = (list(box.uids), list(box.flags), list(box.modseqs), box.highest_modseq)
    assert await store.pack(account) == 11  # not the newest two commits
    assert len(await keys(world, "pack")) == 1
    assert (list(box.uids), list(box.flags), list(box.modseqs), box.highest_modseq) == before
    for one in (account, await world.pod().open(world.ref)):
        assert await texts(one) == [mail(number) for number in range(12)]
    assert await store.checkpoint(account)
    root = decode_root(await world.objects.get(checkpoint_key(world.ref.prefix, account.head)))
    assert not root.boxes[0].relocated  # the metadata pages were written anew
    assert root.held is not None and {held[2] for held in root.held} == {11, 1}
    assert await texts(await world.pod().open(world.ref)) == [mail(number) for number in range(12)]
    assert not await store.pack(account)


async def test_packing_waits_until_it_is_worth_it_and_bounds_packs_and_commits() -> None:
    world, store, account = await filled(5)
    assert not await store.pack(account)
    for number in range(5, 60):
        await account.append("INBOX", [NewMessage(mail(number, 100))])
    moved = []
    while count := await store.pack(account):
        moved.append(count)
    assert len(moved) > 1 and max(moved) <= 30
    packs = [await world.objects.get(entry.key) for entry in await world.objects.list(f"{world.ref.prefix}pack/")]
    assert all(len(pack.partition(b"\n")[2]) <= 4000 for pack in packs)
    found = [
        op
        for sequence in range(62, account.head + 1)
        for op in _operations(await world.objects.get(log_key(world.ref.prefix, sequence)))
        if op["op"] == "relocate"
    ]
    assert found and all(len(op["moves"]) <= 3 for op in found)


async def test_packs_that_are_full_of_tiny_messages_are_not_packed_again() -> None:
    _world, store, account = await filled(0, pack_bytes=1 << 20)
    for start in range(0, 300, 10):  # thirty messages are a pack, and a small part of its bytes
        await account.append("INBOX", [NewMessage(mail(number)) for number in range(start, start + 10)])
    for number in range(2):
        await account.subscribe(str(number))
    moved = []
    while len(moved) < 20 and (count := await store.pack(account)):
        moved.append(count)
    assert moved == [30] * 9  # three commits are too few
    assert await texts(account) == [mail(number) for number in range(300)]


async def test_small_packs_of_which_nothing_but_damage_is_left_are_not_packed_again_and_again() -> None:
    world, store, account = await filled(0, pack_newest=0, pack_bytes=1 << 20, pack_messages=400)
    for start in range(0, 24, 6):
        for number in range(start, start + 6):
            await account.append("INBOX", [NewMessage(mail(number))])
        assert await store.pack(account, force=True) == 6
    box = account.mailbox("INBOX")
    for at in [page.location(row) async for page, rows in box.pages([1, 7, 13, 19]) for row in rows]:
        whole = bytearray(await world.objects.get(world.ref.prefix + at.key))
        whole[at.offset] ^= 1
        await world.objects.put(world.ref.prefix + at.key, [whole])
    assert [await store.pack(account) for _ in range(3)] == [0, 0, 0]


def _operations(commit: bytes) -> list[dict[str, object]]:
    return msgspec.json.decode(commit.split(b"\n", 1)[0])["ops"]


async def test_copies_of_a_message_share_its_bytes_in_a_pack_too() -> None:
    world, store, account = await filled(8)
    await account.copy(account.mailbox("INBOX"), range(1, 6), "Archive")
    await aged(world, store, account, 3)
    assert await store.pack(account, force=True) == 13
    assert len(await keys(world, "pack")) == 1
    [pack] = [await world.objects.get(entry.key) for entry in await world.objects.list(f"{world.ref.prefix}pack/")]
    assert pack.partition(b"\n")[2] == b"".join(mail(number) for number in range(8))
    assert await texts(account, "Archive") == [mail(number) for number in range(5)]


async def test_rule_10_two_packers_race_and_each_message_is_moved_once() -> None:
    world, store, account = await filled(10)
    other_store = world.pod()
    other = await other_store.open(world.ref)
    await asyncio.gather(store.pack(account), other_store.pack(other))
    await account.refresh()
    await other.refresh()
    assert account.log.state.digest() == other.log.state.digest()
    for one in (account, other, await world.pod().open(world.ref)):
        assert await texts(one) == [mail(number) for number in range(10)]


async def test_rule_10_a_message_that_was_moved_already_is_not_moved_by_an_old_operation() -> None:
    world, store, account = await filled(6)
    await store.pack(account, force=True)
    box = account.mailbox("INBOX")
    await account.commit_operation(Relocate(box.id, ((1, log_key("", 2), 0, "pack/" + "f" * 24, 0),)))
    assert account.log.state.homes.find("pack/" + "f" * 24) < 0
    assert await texts(account) == [mail(number) for number in range(6)]
    assert await texts(await world.pod().open(world.ref)) == [mail(number) for number in range(6)]


async def test_rule_10_bytes_that_do_not_fit_their_checksum_are_not_moved() -> None:
    world, store, account = await filled(8)
    key = log_key(world.ref.prefix, 3)
    await world.objects.put(key, [(await world.objects.get(key)).replace(b"message 1\r\n\r\n", b"massage 1\r\n\r\n")])
    await store.pack(account)
    box = account.mailbox("INBOX")
    assert account.log.state.homes.key(box.homes[1]) == log_key("", 3)
    assert await _texts_or_error(account, 2) == "Damaged"
    assert await _texts_or_error(account, 1) == mail(0)


async def _texts_or_error(account: Account, uid: int) -> bytes | str:
    try:
        async for page, rows in account.mailbox("INBOX").pages([uid]):
            return await account.body(page.location(rows[0]))
    except MailError as error:
        return type(error).__name__
    return ""


async def test_rule_10_a_pack_that_is_a_day_old_is_not_referred_to() -> None:
    world, _, account = await filled(1)
    faulty = Faulty(world.objects)
    account = await world.pod(faulty).open(world.ref)
    faulty.match = "/pack/"

    async def stall() -> None:
        world.clock.time += 86_400

    faulty.script.append(stall)
    with pytest.raises(MailError):
        await account.append("INBOX", [NewMessage(mail(7, 5000))])
    assert (await account.append("INBOX", [NewMessage(mail(8, 5000))])).uids == [2]


async def test_rule_10_a_commit_whose_pack_is_a_day_old_is_not_sent_again() -> None:
    world = await make_world(**SMALL)
    faulty = Faulty(world.objects)
    account = await world.pod(faulty).open(world.ref)
    faulty.script.extend(["cut"] * 40)
    with pytest.raises(MailError):
        await account.append("INBOX", [NewMessage(mail(7, 5000))])
    faulty.script.clear()
    world.clock.time += 86_400
    sent = len(faulty.creates)
    with pytest.raises(MailError):
        await account.append("INBOX", [NewMessage(mail(8))])
    assert len(faulty.creates) == sent
    assert (await account.append("INBOX", [NewMessage(mail(8))])).uids == [1]


@pytest.mark.parametrize("count", [2, 6])
async def test_rule_11_a_copy_of_what_was_moved_meanwhile_takes_the_new_place(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, store, account = await filled(8)
    read = account.uploads.copy_source

    async def slow(*args: Any) -> Any:
        source = await read(*args)
        await store.pack(account)
        return source

    monkeypatch.setattr(account.uploads, "copy_source", slow)
    await account.copy(account.mailbox("INBOX"), range(1, count + 1), "Archive")
    await aged(world, store, account, 2)
    assert (await store.collect(world.ref)).commits >= 6
    for one in (account, await world.pod().open(world.ref)):
        assert await texts(one, "Archive") == [mail(number) for number in range(count)]
        await check_homes(one)


async def test_a_copy_whose_source_never_keeps_still_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, account = await filled(3)
    read = account.uploads.copy_source

    async def other(*args: Any) -> Any:
        return dataclasses.replace(await read(*args), keys=["pack/gone"] * 2)

    monkeypatch.setattr(account.uploads, "copy_source", other)
    with pytest.raises(Unavailable):
        await account.copy(account.mailbox("INBOX"), [1, 2], "Archive")
