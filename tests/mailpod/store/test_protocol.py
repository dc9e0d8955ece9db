"""STORE.md rules 1 to 5, 14 and 15, each with the fault that it is about."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from mailpod.errors import AccountClosed, AccountMissing, AccountReadOnly, TryCreate, Unavailable
from mailpod.store import Account, AccountRef, NewMessage, incarnations
from mailpod.store.incarnations import Incarnation
from mailpod.store.names import checkpoint_key, log_key
from mailpod.store.objects import NotFound
from mailpod.store.ops import decode_header, encode_header

from .faults import Faulty, World, mail, make_world


async def _put(account: Account, number: int) -> list[int]:
    return (await account.append("INBOX", [NewMessage(mail(number))])).uids


async def _subjects(world: World) -> list[str]:
    """What a pod that starts now finds in the INBOX."""
    box = (await world.pod().open(world.ref)).mailbox("INBOX")
    wire = [page.envelopes[row] async for page, rows in box.pages(box.uids) for row in rows]
    return [envelope.split(b'"')[1].decode() for envelope in wire]


async def _faulty() -> tuple[World, Faulty, Account]:
    world = await make_world()
    faulty = Faulty(world.objects)
    return world, faulty, await world.pod(faulty).open(world.ref)


@pytest.mark.parametrize("fault", ["lost", "cut", "refuse", "gone"])
async def test_rule_4_an_ambiguous_commit_is_sent_again_unchanged_until_it_is_settled(fault: str) -> None:
    world, faulty, account = await _faulty()
    faulty.script.extend([fault, fault] if fault != "lost" else [fault])
    assert await _put(account, 1) == [1]
    assert len({data for key, data in faulty.creates if "/log/" in key}) == 1
    assert await _subjects(world) == ["message 1"]


async def test_rule_4_after_the_deadline_the_id_is_kept_and_a_late_landing_is_ours() -> None:
    world, faulty, account = await _faulty()
    faulty.script.extend(["late", *["cut"] * 40])
    with pytest.raises(Unavailable):
        await _put(account, 1)
    faulty.script.clear()
    await faulty.land()
    assert await _put(account, 2) == [2]
    assert await _subjects(world) == ["message 1", "message 2"]
    assert account.head == 3


async def test_rule_4_nothing_else_is_sent_to_an_unresolved_sequence() -> None:
    _, faulty, account = await _faulty()
    faulty.script.extend(["late", *["cut"] * 40])
    with pytest.raises(Unavailable):
        await _put(account, 1)
    faulty.script.clear()
    await _put(account, 2)
    sent = [(key, data) for key, data in faulty.creates if "/log/" in key]
    assert len({data for key, data in sent if key.endswith("2")}) == 1
    await faulty.land()
    await account.refresh()
    assert account.head == 3


async def test_rule_4_a_foreign_commit_at_an_unresolved_sequence_settles_it() -> None:
    world, faulty, account = await _faulty()
    faulty.script.extend(["cut"] * 40)
    with pytest.raises(Unavailable):
        await _put(account, 1)
    faulty.script.clear()
    other = await world.pod().open(world.ref)
    await _put(other, 5)
    await account.refresh()
    assert await _put(account, 2) == [2]
    assert await _subjects(world) == ["message 5", "message 2"]


async def test_the_loser_of_a_race_evaluates_its_operation_on_the_new_state() -> None:
    world, faulty, account = await _faulty()
    other = await world.pod().open(world.ref)
    faulty.script.append(lambda: _put(other, 7))
    assert await _put(account, 8) == [2]
    assert await _subjects(world) == ["message 7", "message 8"]


async def test_rule_5_what_arrives_during_a_put_shares_the_next() -> None:
    _, faulty, account = await _faulty()
    await asyncio.gather(*(_put(account, number) for number in range(50)))
    assert len([key for key, _ in faulty.creates if "/log/" in key]) <= 2
    assert account.mailbox("INBOX").exists == 50


async def test_rule_5_bytes_that_lost_a_race_go_into_a_pack_once() -> None:
    world, faulty, account = await _faulty()
    other = await world.pod().open(world.ref)
    faulty.script.extend([lambda: _put(other, 1), lambda: _put(other, 2)])
    await account.append("INBOX", [NewMessage(mail(3, 500_000))])
    sizes = [len(data) for key, data in faulty.creates if "/log/" in key]
    assert sizes[0] > 500_000 and max(sizes[1:]) < 10_000
    assert len([key for key, _ in faulty.creates if "/pack/" in key]) == 1
    box = account.mailbox("INBOX")
    async for page, rows in box.pages([3]):
        assert await account.body(page.location(rows[0])) == mail(3, 500_000)


async def test_a_bucket_that_is_down_is_a_temporary_failure_and_comes_back() -> None:
    _, faulty, account = await _faulty()
    faulty.down = True
    for attempt in (_put(account, 1), account.refresh()):
        with pytest.raises(Unavailable):
            await attempt
    faulty.down = False
    assert await _put(account, 2) == [1]


# -- looks


async def test_rule_2_a_look_within_half_a_grace_needs_no_list() -> None:
    world, faulty, account = await _faulty()
    world.clock.time += world.settings.grace / 2 - 1
    faulty.requests.clear()
    await account.refresh()
    assert faulty.requests == [("get_head", log_key(world.ref.prefix, 2))]


async def test_rule_2_a_stale_404_with_a_checkpoint_above_our_head_opens_again() -> None:
    world, _, account = await _faulty()
    box = account.mailbox("INBOX")
    await _advance_and_collect(world)
    world.clock.time += world.settings.grace
    await account.refresh()
    assert account.mailbox("INBOX") is box and box.exists == 20 and account.head == 21
    assert box.changes_since(1) is None


async def test_rule_2_a_late_read_commit_is_not_trusted_over_a_checkpoint() -> None:
    """Our sequence was taken, checkpointed and collected; then a forgotten PUT lands on the free name."""
    world, faulty, account = await _faulty()
    faulty.script.extend(["late", *["cut"] * 40])
    with pytest.raises(Unavailable):
        await _put(account, 99)
    await _advance_and_collect(world)
    await faulty.land()
    world.clock.time += world.settings.grace
    faulty.script.clear()
    await account.refresh()
    assert account.mailbox("INBOX").exists == 20
    assert "message 99" not in await _subjects(world)


async def test_rule_3_a_put_answered_too_late_is_not_acknowledged_over_a_checkpoint() -> None:
    world, faulty, account = await _faulty()

    async def stall() -> None:
        await _advance_and_collect(world)
        world.clock.time += world.settings.grace

    faulty.script.append(stall)
    with pytest.raises(Unavailable):
        await _put(account, 99)
    assert account.mailbox("INBOX").exists == 20
    assert await _put(account, 100) == [21]


async def test_rule_3_a_put_answered_late_without_a_checkpoint_above_is_acknowledged() -> None:
    world, faulty, account = await _faulty()

    async def stall() -> None:
        world.clock.time += world.settings.grace

    faulty.script.append(stall)
    assert await _put(account, 1) == [1]


async def test_rule_3_a_purged_account_is_not_written_to() -> None:
    world, faulty, account = await _faulty()

    async def purge() -> None:
        world.clock.time += world.settings.grace
        await incarnations.create(world.objects, "x.test", "alice", Incarnation(2, "b" * 32, absent=True))
        await world.objects.delete([log_key(world.ref.prefix, 1)])

    faulty.script.append(purge)
    with pytest.raises(AccountClosed):
        await _put(account, 1)


async def test_rule_2_nothing_to_do_and_no_are_answered_after_a_look() -> None:
    """Another pod took a flag away and made a mailbox: the first to be told of it by its own next change."""
    world = await make_world()
    ours, theirs = await world.pod().open(world.ref), await world.pod().open(world.ref)
    await _put(ours, 1)
    await ours.store_flags(ours.mailbox("INBOX"), [1], "add", ["\\Seen"])
    await theirs.refresh()
    await theirs.store_flags(theirs.mailbox("INBOX"), [1], "remove", ["\\Seen"])
    await ours.store_flags(ours.mailbox("INBOX"), [1], "add", ["\\Seen"])  # as it knows them, they are so already
    await theirs.refresh()
    box = theirs.mailbox("INBOX")
    assert "\\Seen" in box.flag_sets[box.flags[0]]
    await theirs.create("Work")
    await ours.append("Work", [NewMessage(mail(2))])  # as it knows them, there is none


@pytest.mark.parametrize("late", ["", "checkpoint/99999999999999999997", "log/00000000000000000002"])
async def test_rule_2_an_account_that_was_erased_while_it_was_opened_does_not_end_there(late: str) -> None:
    """Found by simulation: closed long ago, and listed just before its purge; the end of its log was not one."""
    world, faulty, _ = await _faulty()
    key, prefix = log_key(world.ref.prefix, 2), world.ref.prefix

    async def purge(*args: object) -> tuple[bytes, int]:
        await incarnations.create(world.objects, "x.test", "alice", Incarnation(2, "b" * 32, absent=True))
        await world.objects.delete([entry.key for entry in await world.objects.list(prefix)])
        if late:
            await world.objects.create(prefix + late, [b"landed late"])
        raise NotFound(key)

    head = faulty.inner.get_head
    faulty.get_head = lambda name, size: purge() if name == key else head(name, size)  # type: ignore[attr-defined]
    with pytest.raises(AccountClosed):
        await world.pod(faulty).open(world.ref)


async def test_rule_2_an_erased_account_where_a_checkpoint_has_landed_late_is_not_damaged() -> None:
    """Found by simulation: its writer had stood still, and a pod came there by an old hint."""
    world = await make_world()
    await incarnations.create(world.objects, "x.test", "alice", Incarnation(2, "b" * 32, absent=True))
    await world.objects.delete([entry.key for entry in await world.objects.list(world.ref.prefix)])
    await world.objects.create(f"{world.ref.prefix}checkpoint/99999999999999999988", [b"landed late"])
    with pytest.raises(AccountClosed):
        await world.pod().open(world.ref)


async def _advance_and_collect(world: World) -> None:
    """Another pod commits twenty times and checkpoints; the commits below are collected."""
    store = world.pod()
    other = await store.open(world.ref)
    for number in range(20):
        await _put(other, number)
    await store.checkpoint(other)
    await world.objects.delete([log_key(world.ref.prefix, sequence) for sequence in range(1, other.head + 1)])


# -- opening, closing, damage


async def test_rule_14_nothing_in_the_prefix_is_not_an_empty_mailbox() -> None:
    world = await make_world()
    with pytest.raises(AccountMissing):
        await world.pod().open(AccountRef("x.test", "alice", "other"))


async def test_rule_15_nothing_follows_a_close() -> None:
    world = await make_world()
    one, two = await world.pod().open(world.ref), await world.pod().open(world.ref)
    await one.close_incarnation()
    for attempt in (_put(two, 1), two.refresh(), _put(one, 2), world.pod().open(world.ref)):
        with pytest.raises(AccountClosed):
            await attempt


async def test_rule_1_a_wrong_prev_makes_the_account_read_only_and_readable() -> None:
    world, _, account = await _faulty()
    await _put(account, 1)
    header = decode_header((await world.objects.get(log_key(world.ref.prefix, 2))).split(b"\n")[0])
    # wrong in nothing else
    forged = msgspec.structs.replace(header, seq=3, id="f" * 24, prev="0" * 24, ops=(), bytes=0)
    await world.objects.create(log_key(world.ref.prefix, 3), [encode_header(forged)])
    with pytest.raises(AccountReadOnly):
        await account.refresh()
    with pytest.raises(AccountReadOnly):
        await _put(account, 2)
    assert account.mailbox("INBOX").exists == 1
    await account.refresh()


@pytest.mark.parametrize(
    "line",
    [
        b'{"v":1,"id":"x","prev":"PREV","seq":2,"at":0,"by":"","ops":[{"op":"teleport","box":1}],"bytes":0}\n',
        b'{"v":2,"id":"x","prev":"PREV","seq":2,"at":0,"by":"","ops":[],"bytes":0}\n',
        b'{"v":1,"id":"x","prev":"PREV","seq":2,"at":0,"by":"","ops":[],"bytes":7}\nshort',
        b'{"v":1,"id":"x","prev":"PREV","seq":2,"at":0,"by":"","ops":[{"op":"expunge","box":77,"uids":"1"}],"bytes":0}\n',
        b"not a commit\n",
        b"",
    ],
)
async def test_an_operation_that_this_version_does_not_know_or_damage_makes_it_read_only(line: bytes) -> None:
    world, _, account = await _faulty()
    prev = account.log.state.head_id.encode()
    await world.objects.create(log_key(world.ref.prefix, 2), [line.replace(b"PREV", prev)])
    with pytest.raises(AccountReadOnly):
        await account.refresh()
    with pytest.raises(AccountReadOnly):
        await _put(account, 2)


async def test_a_client_that_goes_away_does_not_stop_its_commit() -> None:
    world, faulty, account = await _faulty()
    started, release = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        started.set()
        await release.wait()

    faulty.script.append(hold)
    task = asyncio.ensure_future(_put(account, 1))
    await started.wait()
    task.cancel()
    release.set()
    assert await _put(account, 2) == [2]
    assert await _subjects(world) == ["message 1", "message 2"]


async def test_looks_that_arrive_together_share_one_that_starts_after_them() -> None:
    world, faulty, account = await _faulty()
    other = await world.pod().open(world.ref)
    faulty.requests.clear()
    first = asyncio.ensure_future(account.refresh())
    await asyncio.sleep(0)
    await _put(other, 1)
    await asyncio.gather(first, *(account.refresh() for _ in range(100)))
    assert account.head == 2
    assert len(faulty.requests) <= 5


async def test_a_checkpoint_is_named_so_that_the_newest_sorts_first() -> None:
    assert checkpoint_key("p/", 10) < checkpoint_key("p/", 9)


async def test_nothing_to_do_counts_only_on_the_newest_state() -> None:
    """Found by simulation: a STORE that changed nothing on an old state was answered OK, and was lost."""
    world, _, account = await _faulty()
    await _put(account, 1)
    other = await world.pod().open(world.ref)
    await other.store_flags(other.mailbox("INBOX"), [1], "add", ["\\Seen"])
    await account.store_flags(account.mailbox("INBOX"), [1], "remove", ["\\Seen"])
    await other.refresh()
    assert other.mailbox("INBOX").unseen == 1


async def test_a_refusal_counts_only_on_the_newest_state() -> None:
    world, _, account = await _faulty()
    other = await world.pod().open(world.ref)
    await other.create("New")
    assert (await account.append("New", [NewMessage(mail(1))])).uids == [1]
    await other.delete("New")
    with pytest.raises(TryCreate):
        await account.append("New", [NewMessage(mail(2))])
    await account.create("New")
