"""STORE.md rules 9 to 13: what is deleted, what never is, and what a pod does that still had it in mind."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from typing import Any

import msgspec
import pytest

from mailpod.errors import Damaged, Expunged, MailError, Unavailable
from mailpod.store import Account, NewMessage, Store, planning
from mailpod.store.checkpoint import decode_root
from mailpod.store.log import Log
from mailpod.store.names import checkpoint_key, log_key
from mailpod.store.ops import Relocate
from mailpod.store.state import State

from .faults import Faulty, World, mail, make_world

SMALL = {
    "page_messages": 8,
    "state_page_messages": 16,
    "overlay_entries": 4,
    "copy_inline_messages": 3,
    "checkpoint_commits": 1 << 20,  # by hand
    "checkpoint_header_bytes": 1 << 40,
    "inline_message_bytes": 3000,
    "pack_objects": 4,
    "pack_newest": 2,
    "pack_bytes": 4000,
    "pack_messages": 30,
    "pack_moves": 3,
    "pack_small_packs": 4,
    "body_cache_bytes": 0,
    "page_cache_bytes": 0,
}


async def _keys(world: World, kind: str) -> list[str]:
    prefix = f"{world.ref.prefix}{kind}/"
    return [entry.key[len(prefix) :] for entry in await world.objects.list(prefix)]


async def _texts(account: Account, name: str = "INBOX") -> list[bytes]:
    box = account.mailbox(name)
    return [await account.body(page.location(row)) async for page, rows in box.pages(box.uids) for row in rows]


async def _filled(count: int, **settings: float) -> tuple[World, Store, Account]:
    """`count` messages, each in a commit of its own."""
    world = await make_world(**(SMALL | settings))
    store = world.pod()
    account = await store.open(world.ref)
    for number in range(count):
        await account.append("INBOX", [NewMessage(mail(number))])
    return world, store, account


async def _aged(world: World, store: Store, account: Account, checkpoints: int = 1) -> None:
    """Checkpoints, each after a commit, and after them time."""
    for _ in range(checkpoints):
        await account.subscribe(str(account.head))
        assert await store.checkpoint(account)
    world.clock.time += world.settings.grace + 1


# -- packing


async def test_packing_moves_small_commits_into_one_object_and_clients_notice_nothing() -> None:
    world, store, account = await _filled(12)
    box = account.mailbox("INBOX")
    await account.store_flags(box, [3], "add", ["\\Seen"])
    before = (list(box.uids), list(box.flags), list(box.modseqs), box.highest_modseq)
    assert await store.pack(account) == 11  # not the newest two commits
    assert len(await _keys(world, "pack")) == 1
    assert (list(box.uids), list(box.flags), list(box.modseqs), box.highest_modseq) == before
    for one in (account, await world.pod().open(world.ref)):
        assert await _texts(one) == [mail(number) for number in range(12)]
    assert await store.checkpoint(account)
    root = decode_root(await world.objects.get(checkpoint_key(world.ref.prefix, account.head)))
    assert not root.boxes[0].relocated  # the metadata pages were written anew
    assert root.held is not None and {held[2] for held in root.held} == {11, 1}
    assert await _texts(await world.pod().open(world.ref)) == [mail(number) for number in range(12)]
    assert not await store.pack(account)


async def test_packing_waits_until_it_is_worth_it_and_bounds_packs_and_commits() -> None:
    world, store, account = await _filled(5)
    assert not await store.pack(account)
    for number in range(5, 60):
        await account.append("INBOX", [NewMessage(mail(number, 100))])
    moved = []
    while count := await store.pack(account):
        moved.append(count)
    assert len(moved) > 1 and max(moved) <= 30
    assert all(entry.size <= 4000 for entry in await world.objects.list(f"{world.ref.prefix}pack/"))
    found = [
        op
        for sequence in range(62, account.head + 1)
        for op in _operations(await world.objects.get(log_key(world.ref.prefix, sequence)))
        if op["op"] == "relocate"
    ]
    assert found and all(len(op["moves"]) <= 3 for op in found)


async def test_packs_that_are_full_of_tiny_messages_are_not_packed_again() -> None:
    _world, store, account = await _filled(0, pack_bytes=1 << 20)
    for start in range(0, 300, 10):  # thirty messages are a pack, and a small part of its bytes
        await account.append("INBOX", [NewMessage(mail(number)) for number in range(start, start + 10)])
    for number in range(2):
        await account.subscribe(str(number))
    moved = []
    while len(moved) < 20 and (count := await store.pack(account)):
        moved.append(count)
    assert moved == [30] * 9  # three commits are too few
    assert await _texts(account) == [mail(number) for number in range(300)]


async def test_small_packs_of_which_nothing_but_damage_is_left_are_not_packed_again_and_again() -> None:
    world, store, account = await _filled(0, pack_newest=0, pack_bytes=1 << 20, pack_messages=400)
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
    world, store, account = await _filled(8)
    await account.copy(account.mailbox("INBOX"), range(1, 6), "Archive")
    await _aged(world, store, account, 3)
    assert await store.pack(account, force=True) == 13
    assert len(await _keys(world, "pack")) == 1
    sizes = [entry.size for entry in await world.objects.list(f"{world.ref.prefix}pack/")]
    assert sizes == [sum(len(mail(number)) for number in range(8))]
    assert await _texts(account, "Archive") == [mail(number) for number in range(5)]


async def test_rule_10_two_packers_race_and_each_message_is_moved_once() -> None:
    world, store, account = await _filled(10)
    other_store = world.pod()
    other = await other_store.open(world.ref)
    await asyncio.gather(store.pack(account), other_store.pack(other))
    await account.refresh()
    await other.refresh()
    assert account.log.state.digest() == other.log.state.digest()
    for one in (account, other, await world.pod().open(world.ref)):
        assert await _texts(one) == [mail(number) for number in range(10)]


async def test_rule_10_a_message_that_was_moved_already_is_not_moved_by_an_old_operation() -> None:
    world, store, account = await _filled(6)
    await store.pack(account, force=True)
    box = account.mailbox("INBOX")
    await account.commit_operation(Relocate(box.id, ((1, log_key("", 2), 0, "pack/" + "f" * 24, 0),)))
    assert account.log.state.homes.find("pack/" + "f" * 24) < 0
    assert await _texts(account) == [mail(number) for number in range(6)]
    assert await _texts(await world.pod().open(world.ref)) == [mail(number) for number in range(6)]


async def test_rule_10_bytes_that_do_not_fit_their_checksum_are_not_moved() -> None:
    world, store, account = await _filled(8)
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
    world, _, account = await _filled(1)
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
    world, store, account = await _filled(8)
    read = account.uploads.copy_source

    async def slow(*args: Any) -> Any:
        source = await read(*args)
        await store.pack(account)
        return source

    monkeypatch.setattr(account.uploads, "copy_source", slow)
    await account.copy(account.mailbox("INBOX"), range(1, count + 1), "Archive")
    await _aged(world, store, account, 2)
    assert (await store.collect(world.ref)).commits >= 6
    for one in (account, await world.pod().open(world.ref)):
        assert await _texts(one, "Archive") == [mail(number) for number in range(count)]
        await _check_homes(one)


async def _check_homes(account: Account) -> None:
    """Pages say the same as the state, by which collection goes."""
    for box in account.mailboxes.values():
        async for page, rows in box.pages(box.uids):
            for row in rows:
                home = box.homes[box.index(page.uids[row])]
                assert page.key(row) == account.log.state.homes.key(home), (box.name, page.uids[row])


async def test_a_copy_whose_source_never_keeps_still_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, account = await _filled(3)
    read = account.uploads.copy_source

    async def other(*args: Any) -> Any:
        return dataclasses.replace(await read(*args), keys=["pack/gone"] * 2)

    monkeypatch.setattr(account.uploads, "copy_source", other)
    with pytest.raises(Unavailable):
        await account.copy(account.mailbox("INBOX"), [1, 2], "Archive")


# -- collection


async def test_rule_12_what_is_old_and_nothing_names_goes_and_everything_is_still_there() -> None:
    world, store, account = await _filled(12)
    await _aged(world, store, account, 2)
    await store.pack(account, force=True)
    await _aged(world, store, account)
    done = await store.collect(world.ref)
    assert not done.refused
    assert done.checkpoints == 1  # the second newest is kept, and so what it names
    assert {log_key("", sequence)[4:] for sequence in range(2, 14)} <= set(await _keys(world, "log"))
    await _aged(world, store, account)
    done = await store.collect(world.ref)
    assert done.commits >= 12 and done.pages > 0
    left = await _keys(world, "log")
    assert len(left) < 12 and await _keys(world, "checkpoint")
    assert await _texts(await world.pod().open(world.ref)) == [mail(number) for number in range(12)]


async def test_rule_12_nothing_younger_than_grace_and_nothing_it_names_goes() -> None:
    world, store, account = await _filled(12)
    for _ in range(5):
        await account.append("INBOX", [NewMessage(mail(99))])
        assert await store.checkpoint(account)
        await store.pack(account, force=True)
    before = [await _keys(world, kind) for kind in ("log", "page", "pack", "checkpoint")]
    await store.collect(world.ref)
    assert [await _keys(world, kind) for kind in ("log", "page", "pack", "checkpoint")] == before


async def test_rule_12_the_newest_two_whole_checkpoints_and_the_commits_after_the_older_stay() -> None:
    world, store, account = await _filled(12)
    await _aged(world, store, account, 4)
    await account.append("INBOX", [NewMessage(mail(12))])
    done = await store.collect(world.ref)
    assert done.checkpoints == 2
    newest, second = await _keys(world, "checkpoint")
    sequences = [10**20 - 1 - int(key) for key in (newest, second)]
    await world.objects.delete([f"{world.ref.prefix}checkpoint/{newest}"])
    fresh = await world.pod().open(world.ref)
    assert fresh.log.base == sequences[1] and fresh.log.state.digest() == account.log.state.digest()


async def test_rule_9_a_checkpoint_that_is_not_whole_counts_for_nothing() -> None:
    world, store, account = await _filled(30)
    await _aged(world, store, account, 2)
    good = await _keys(world, "checkpoint")
    await account.append("INBOX", [NewMessage(mail(30))])
    pages = set(await _keys(world, "page"))
    await _aged(world, store, account)
    for page in set(await _keys(world, "page")) - pages:
        await world.objects.delete([f"{world.ref.prefix}page/{page}"])
    done = await world.pod().collect(world.ref)
    assert done.broken == [account.log.base]
    assert set(good) <= set(await _keys(world, "checkpoint"))
    assert await _texts(await world.pod().open(world.ref)) == [mail(number) for number in range(31)]


async def test_rule_9_a_missing_page_of_messages_is_found_in_the_checkpoint_before() -> None:
    world, store, account = await _filled(30)
    assert await store.checkpoint(account)
    pages = set(await _keys(world, "page"))
    await account.append("INBOX", [NewMessage(mail(number)) for number in range(30, 40)])
    assert await store.checkpoint(account)
    root = decode_root(await world.objects.get(checkpoint_key(world.ref.prefix, account.head)))
    lost = [ref.id for ref in root.boxes[0].pages if ref.id not in pages]
    await world.objects.delete([f"{world.ref.prefix}page/{page}" for page in lost])
    store = world.pod()
    fresh = await store.open(world.ref)
    assert await _texts(fresh) == [mail(number) for number in range(40)]
    await fresh.append("INBOX", [NewMessage(mail(40))])
    assert await store.checkpoint(fresh)  # of pages that are there
    assert await _texts(await world.pod().open(world.ref)) == [mail(number) for number in range(41)]


async def test_rule_10_what_nothing_ever_named_goes_after_seven_days() -> None:
    world, store, account = await _filled(4)
    for kind in ("page", "pack"):
        await world.objects.create(f"{world.ref.prefix}{kind}/{'0' * 24}", [b"a race was lost"])
    await _aged(world, store, account, 3)
    await store.collect(world.ref)
    assert len(await _keys(world, "pack")) == 1
    world.clock.time += 7 * 86_400
    done = await store.collect(world.ref)
    assert (done.pages, done.packs) == (1, 1)


async def test_rule_12_what_commits_name_that_no_checkpoint_has_yet_is_kept() -> None:
    world, store, account = await _filled(6)
    await _aged(world, store, account, 3)
    await account.append("INBOX", [NewMessage(mail(6, 5000))])
    await account.copy(account.mailbox("INBOX"), range(1, 6), "Archive")
    world.clock.time += 30 * 86_400
    await store.collect(world.ref)
    fresh = await world.pod().open(world.ref)
    assert await _texts(fresh) == [*(mail(number) for number in range(6)), mail(6, 5000)]
    assert await _texts(fresh, "Archive") == [mail(number) for number in range(5)]


async def test_a_collection_that_is_killed_is_finished_by_the_next() -> None:
    for kill in range(4):
        world, store, account = await _filled(12)
        await _aged(world, store, account, 2)
        await store.pack(account, force=True)
        await _aged(world, store, account, 4)
        killed = _Killed(world.objects, kill)
        with pytest.raises(ConnectionError):
            await world.pod(killed).collect(world.ref)
        assert await _texts(await world.pod().open(world.ref)) == [mail(number) for number in range(12)]
        await store.collect(world.ref)
        assert len(await _keys(world, "checkpoint")) == 2
        assert await _texts(await world.pod().open(world.ref)) == [mail(number) for number in range(12)]


class _Killed:
    """A bucket whose collector dies after it deleted so many keys."""

    def __init__(self, inner: object, after: int) -> None:
        self._inner = inner
        self._left = after

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def delete(self, keys: list[str]) -> None:
        await self._inner.delete(keys[: self._left])  # type: ignore[attr-defined]
        if self._left < len(keys):
            raise ConnectionError
        self._left -= len(keys)


async def test_a_pack_that_is_mostly_dead_is_packed_again_and_then_deleted() -> None:
    world, store, account = await _filled(12)
    await store.pack(account, force=True)
    [old] = await _keys(world, "pack")
    await account.expunge(account.mailbox("INBOX"), range(1, 9))
    await _aged(world, store, account, 3)
    assert (await store.collect(world.ref)).dead == [f"pack/{old}"]
    assert await store.pack(account) == 2  # the other two are in commits, too few to be packed
    for _ in range(2):
        await _aged(world, store, account, 2)
        await store.collect(world.ref)
    assert old not in await _keys(world, "pack") and len(await _keys(world, "pack")) == 1
    assert await _texts(await world.pod().open(world.ref)) == [mail(number) for number in range(8, 12)]


async def test_a_checkpoint_of_a_later_format_stops_collection() -> None:
    world, store, account = await _filled(4)
    await _aged(world, store, account, 3)
    real = decode_root(await world.objects.get(checkpoint_key(world.ref.prefix, account.head)))
    from mailpod.store.checkpoint import encode_root

    later = encode_root(msgspec.structs.replace(real, v=4, seq=real.seq + 1))
    await world.objects.create(checkpoint_key(world.ref.prefix, account.head + 1), [later])
    done = await world.pod().collect(world.ref)
    assert "version 4" in done.refused and not done.checkpoints


async def test_collection_costs_requests_by_change_and_not_by_mailbox() -> None:
    world, store, account = await _filled(1, page_messages=5, page_cache_bytes=1 << 20)
    await account.append("INBOX", [NewMessage(mail(number)) for number in range(3000)])
    for _ in range(3):
        await _aged(world, store, account, 2)
        await store.collect(world.ref)
    await _aged(world, store, account, 4)
    faulty = Faulty(world.objects)
    await world.pod(faulty).collect(world.ref)
    assert len(await _keys(world, "page")) > 600
    assert len(faulty.requests) <= 40


# -- rule 13


async def _overtaken(world: World, store: Store, account: Account) -> None:
    """Everything is moved, written anew and collected, while somebody else stands still."""
    await account.refresh()
    while await store.pack(account, force=True):
        pass
    for _ in range(3):
        await _aged(world, store, account, 2)
        await store.collect(world.ref)
    assert len(await _keys(world, "log")) < 10


async def test_rule_13_a_slow_reader_finds_what_was_moved() -> None:
    world, store, account = await _filled(20)
    slow = await world.pod().open(world.ref)
    box = slow.mailbox("INBOX")
    places = [page.location(row) async for page, rows in box.pages(box.uids) for row in rows]
    await _overtaken(world, store, account)
    assert [data async for data in slow.bodies(places)] == [mail(number) for number in range(20)]
    assert await slow.body(places[4], 3, 9) == mail(4)[3:9]
    assert slow.mailbox("INBOX") is box


async def test_rule_13_a_slow_reader_waits_for_another_that_opens_the_account_again() -> None:
    """Found by simulation: the state that is being read was taken for the reader's own, which is still the old one."""
    world, store, account = await _filled(20)
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
    world, store, account = await _filled(40)
    assert await store.checkpoint(account)
    slow = await world.pod().open(world.ref)
    box = slow.mailbox("INBOX")
    walk = box.pages(box.uids)
    seen = [page.uids[row] for page, rows in [await anext(walk)] for row in rows]
    await _overtaken(world, store, account)
    seen += [page.uids[row] async for page, rows in walk for row in rows]
    assert seen == list(range(1, 41))


async def test_rule_13_a_message_expunged_meanwhile_is_expunged_and_not_damaged() -> None:
    world, store, account = await _filled(20)
    slow = await world.pod().open(world.ref)
    box = slow.mailbox("INBOX")
    places = [page.location(row) async for page, rows in box.pages(box.uids) for row in rows]
    await account.expunge(account.mailbox("INBOX"), [3])
    await _overtaken(world, store, account)
    with pytest.raises(Expunged):
        await slow.body(places[2])
    assert await slow.body(places[3]) == mail(3)


async def test_rule_13_what_is_gone_for_good_is_damage_and_is_not_looked_for_again_and_again() -> None:
    world, store, account = await _filled(5)
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


# -- all together


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_is_packed_and_collected_when_the_account_stays_the_same(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "TABLE_PAGES", 3)
    rng = random.Random(seed)
    world = await make_world(**SMALL)
    pods = [world.pod() for _ in range(3)]
    accounts = [await pod.open(world.ref) for pod in pods]
    truth = _Truth(world)
    for number in range(150):
        which = rng.randrange(len(pods))
        account = accounts[which]
        try:
            await account.refresh()
            await _step(rng, pods[which], account, number)
        except MailError as error:
            assert type(error).__name__ in ("NoSuchMailbox", "TryCreate", "MailboxExists", "CannotDo"), error
        world.clock.time += rng.choice([0, 10, 3600, 20_000, 90_000])
        await truth.follow()
        if rng.random() < 0.05:
            pods[which] = world.pod()
            accounts[which] = await pods[which].open(world.ref)
    slow = rng.choice(accounts)
    await _compare(slow, truth, read_first=True)
    for account in (*accounts, await world.pod().open(world.ref)):
        await account.refresh()
        assert account.log.state.digest() == truth.state.digest()
        await _compare(account, truth)
        await _check_homes(account)


class _Truth:
    """The log as it grew, and the messages by mailbox and UID."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.state = State()
        self._log = Log(
            world.objects, world.ref.prefix, settings=world.settings, clock=world.clock, rng=random.Random(0),
            pod="truth", attach=lambda box: None,
        )  # fmt: skip
        self._log.state = self.state

    async def follow(self) -> None:
        while (found := await self._log._read(self.state.head + 1)) is not None:
            self.state.apply(*found)


async def _compare(account: Account, truth: _Truth, *, read_first: bool = False) -> None:
    for name, box in list(account.mailboxes.items()):
        seen = []
        async for page, rows in box.pages(box.uids[:]):
            for row in rows:
                try:
                    data = await account.body(page.location(row))
                except Expunged:
                    assert read_first
                    continue
                subject = page.envelopes[row].split(b'"')[1]
                assert b"Subject: " + subject + b"\r\n" in data
                seen.append(page.uids[row])
        if not read_first:
            assert seen == list(truth.state.names[name].uids)


async def _step(rng: random.Random, pod: Store, account: Account, number: int) -> None:
    name = rng.choice(list(account.mailboxes))
    box = account.mailbox(name)
    some = sorted(rng.sample(list(box.uids), min(len(box.uids), rng.choice([1, 2, 12]))))
    match rng.randrange(14):
        case 0 | 1 | 2 | 3:
            sizes = [rng.choice([0, 0, 50, 4000]) for _ in range(rng.choice([1, 1, 2, 9]))]
            await account.append(name, [NewMessage(mail(number * 100 + n, size)) for n, size in enumerate(sizes)])
        case 4:
            await account.store_flags(box, some, "add", ["\\Seen"])
        case 5:
            await account.expunge(box, some)
        case 6:
            await account.copy(box, some, rng.choice(list(account.mailboxes)))
        case 7:
            await account.move(box, some, rng.choice(list(account.mailboxes)))
        case 8:
            await (account.create(f"box{number}") if rng.random() < 0.7 else account.delete(name))
        case 9 | 10 | 11:
            await pod.checkpoint(account)
        case 12:
            await pod.pack(account, force=rng.random() < 0.5)
        case 13:
            assert not (await pod.collect(account.ref)).refused
