"""What an account promises to the protocols, on a folder and in memory."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mailpod.errors import CannotDo, LimitReached, MailboxExists, NoSuchMailbox, OverQuota, TryCreate, Unavailable
from mailpod.store import Account, Limits, NewMessage
from mailpod.store.folder import FolderObjects
from mailpod.store.memory import MemoryObjects

from .faults import World, mail, make_world


@pytest.fixture(params=["memory", "folder"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    objects = MemoryObjects() if request.param == "memory" else FolderObjects(tmp_path)
    return await make_world(objects)


@pytest.fixture
async def account(world: World) -> Account:
    return await world.pod().open(world.ref)


async def _fill(account: Account, count: int, name: str = "INBOX") -> list[int]:
    return (await account.append(name, [NewMessage(mail(n)) for n in range(count)])).uids


async def _text(account: Account, name: str) -> list[bytes]:
    box = account.mailbox(name)
    return [await account.body(page.location(row)) async for page, rows in box.pages(box.uids) for row in rows]


async def test_a_new_account_has_the_mailboxes_that_clients_expect(account: Account) -> None:
    assert {name: box.special_use for name, box in account.mailboxes.items()} == {
        "INBOX": None,
        "Sent": "\\Sent",
        "Drafts": "\\Drafts",
        "Trash": "\\Trash",
        "Junk": "\\Junk",
        "Archive": "\\Archive",
    }
    assert len({box.uidvalidity for box in account.mailboxes.values()}) == 6


async def test_append_is_seen_byte_for_byte_by_another_pod_after_a_look(world: World, account: Account) -> None:
    other = await world.pod().open(world.ref)
    odd = b"\xff\x00no header at all\n\r\rbare"
    done = await account.append("inbox", [NewMessage(odd, frozenset({"\\Seen", "Work"}), 1234567890)])
    assert other.mailbox("INBOX").exists == 0
    await other.refresh()
    box = other.mailbox("INBOX")
    assert (list(box.uids), done.uids, done.uidvalidity) == ([1], [1], box.uidvalidity)
    assert box.flag_sets[box.flags[0]] == {"\\Seen", "Work"} and box.unseen == 0
    assert await _text(other, "INBOX") == [odd]
    async for page, rows in box.pages([1]):
        assert [page.dates[row] for row in rows] == [1234567890]


async def test_flags_add_remove_set_and_their_modseqs(account: Account) -> None:
    await _fill(account, 3)
    box = account.mailbox("INBOX")
    before = account.head
    await account.store_flags(box, [1, 2, 3], "add", ["\\seen", "Work"])
    await account.store_flags(box, [2], "remove", ["WORK"])
    await account.store_flags(box, [3], "set", ["\\Flagged"])
    assert [box.flag_sets[flags] for flags in box.flags] == [{"\\Seen", "Work"}, {"\\Seen"}, {"\\Flagged"}]
    assert list(box.modseqs) == [before + 1, before + 2, before + 3]
    assert (box.unseen, box.first_unseen(), box.keywords) == (1, 2, ["Work"])


async def test_a_store_that_changes_nothing_writes_nothing(account: Account) -> None:
    await _fill(account, 2)
    head = account.head
    await account.store_flags(account.mailbox("INBOX"), [1, 2, 77], "remove", ["\\Seen"])
    assert account.head == head


async def test_two_stores_in_one_commit_keep_their_order(account: Account) -> None:
    await _fill(account, 1)
    box = account.mailbox("INBOX")
    await asyncio.gather(
        account.append("INBOX", [NewMessage(mail(9))]),  # occupies the committer: the next two share a commit
        account.store_flags(box, [1], "add", ["\\Seen"]),
        account.store_flags(box, [1], "remove", ["\\Seen"]),
    )
    assert box.flag_sets[box.flags[0]] == frozenset()


async def test_uids_are_never_used_again(world: World, account: Account) -> None:
    await _fill(account, 3)
    box = account.mailbox("INBOX")
    assert await account.expunge(box, [2, 3, 99]) == [2, 3]
    assert await _fill(account, 1) == [4]
    again = await world.pod().open(world.ref)
    assert list(again.mailbox("INBOX").uids) == [1, 4]
    assert again.usage_bytes == 2 * len(mail(0)) and again.usage_messages == 2


async def test_a_snapshot_of_uids_survives_an_expunge_and_grows_with_an_append(account: Account) -> None:
    await _fill(account, 3)
    box = account.mailbox("INBOX")
    held = box.uids
    await _fill(account, 1)
    assert held is box.uids and len(held) == 4
    await account.expunge(box, [1])
    assert held is not box.uids and list(held) == [1, 2, 3, 4]


@pytest.mark.parametrize("count", [3, 200])
async def test_copy_keeps_flags_date_and_email_id(world: World, account: Account, count: int) -> None:
    await account.append("INBOX", [NewMessage(mail(n), frozenset({"\\Seen"}), 1000 + n) for n in range(count)])
    await _fill(account, 2, "Trash")
    box = account.mailbox("INBOX")
    copied = await account.copy(box, [*range(1, count + 1), 9999], "Trash")
    assert copied.source == list(range(1, count + 1)) and copied.target == list(range(3, count + 3))
    await account.append("Trash", [NewMessage(mail(7))])
    for one in (account, await world.pod().open(world.ref)):
        trash = one.mailbox("Trash")
        expected = [mail(0), mail(1), *(mail(n) for n in range(count)), mail(7)]
        assert await _text(one, "Trash") == expected
        assert trash.unseen == 3 and list(trash.uids) == list(range(1, count + 4))
        dates = [page.dates[row] async for page, rows in trash.pages(copied.target) for row in rows]
        assert dates == [1000 + n for n in range(count)]
        ids = [page.email_ids[row] async for page, rows in one.mailbox("INBOX").pages(copied.source) for row in rows]
        assert ids == [page.email_ids[row] async for page, rows in trash.pages(copied.target) for row in rows]
        assert len(set(ids)) == count


@pytest.mark.parametrize("count", [2, 150])
async def test_move_is_one_commit(account: Account, count: int) -> None:
    await _fill(account, count)
    head = account.head
    moved = await account.move(account.mailbox("INBOX"), range(1, count + 1), "Archive")
    assert account.head == head + 1 and moved.target == list(range(1, count + 1))
    assert account.mailbox("INBOX").exists == 0 and account.mailbox("Archive").exists == count
    assert await _text(account, "Archive") == [mail(n) for n in range(count)]


async def test_copy_into_the_same_mailbox(account: Account) -> None:
    await _fill(account, 2)
    copied = await account.copy(account.mailbox("INBOX"), [1, 2], "INBOX")
    assert copied.target == [3, 4] and account.mailbox("INBOX").exists == 4


async def test_a_message_for_a_mailbox_that_is_not_there(account: Account) -> None:
    with pytest.raises(TryCreate):
        await account.append("Nowhere", [NewMessage(mail())])
    with pytest.raises(TryCreate):
        await account.copy(account.mailbox("INBOX"), [], "Nowhere")


async def test_quota_is_evaluated_inside_the_commit(account: Account) -> None:
    size = len(mail(0))
    limits = Limits(bytes=2 * size, messages=10)
    results = await asyncio.gather(
        *(account.append("INBOX", [NewMessage(mail(0))], limits=limits) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(result, OverQuota) for result in results) == 3
    assert account.usage_bytes == 2 * size
    with pytest.raises(OverQuota):
        await account.append("INBOX", [NewMessage(mail(0))], limits=Limits(messages=2))


async def test_a_delivery_id_is_taken_once_even_when_the_message_is_gone(world: World, account: Account) -> None:
    first = await account.append("INBOX", [NewMessage(mail(), delivery_id="spool-1 alice")])
    await account.expunge(account.mailbox("INBOX"), first.uids)
    again = await account.append("INBOX", [NewMessage(mail(), delivery_id="spool-1 alice")])
    assert again.duplicate and not again.uids
    other = await world.pod().open(world.ref)
    assert (await other.append("INBOX", [NewMessage(mail(), delivery_id="spool-1 alice")])).duplicate
    both = await asyncio.gather(
        *(account.append("INBOX", [NewMessage(mail(), delivery_id="spool-2")]) for _ in range(3))
    )
    assert sorted(one.duplicate for one in both) == [False, True, True]


async def test_what_is_handed_out_too_late_is_not_committed_and_a_duplicate_is_one_all_the_same(
    world: World, account: Account
) -> None:
    """STORE.md rule 17: by then the account may have forgotten the delivery id (simulation, seed 7399461069)."""
    soon = world.clock.elapsed() + 60
    in_time = NewMessage(mail(), delivery_id="spool-1 alice", not_after=soon)
    assert (await account.append("INBOX", [in_time])).uids
    world.clock.time += 100
    assert (await account.append("INBOX", [in_time])).duplicate
    with pytest.raises(Unavailable):
        await account.append("INBOX", [NewMessage(mail(), delivery_id="spool-2 alice", not_after=soon)])
    assert account.mailbox("INBOX").exists == 1


async def test_create_makes_parents_and_rename_takes_children_along(world: World, account: Account) -> None:
    await account.create("Work/Clients/Acme")
    assert {"Work", "Work/Clients", "Work/Clients/Acme"} <= account.mailboxes.keys()
    with pytest.raises(MailboxExists):
        await account.create("Work/Clients")
    await account.rename("Work", "Old/Job")
    assert {"Old", "Old/Job", "Old/Job/Clients/Acme"} <= account.mailboxes.keys() and "Work" not in account.mailboxes
    await account.delete("Old/Job")
    assert "Old/Job/Clients" in account.mailboxes
    for bad in ("Old/Job/Clients", "Nope"):
        with pytest.raises((CannotDo, NoSuchMailbox)):
            await account.rename(bad, "Old/Job/Clients/Acme/below")
    again = await world.pod().open(world.ref)
    assert again.mailboxes.keys() == account.mailboxes.keys()


async def test_a_mailbox_made_again_has_a_larger_uidvalidity(account: Account) -> None:
    old = (await account.create("Twice")).uidvalidity
    await account.delete("Twice")
    assert (await account.create("Twice")).uidvalidity > old


async def test_rename_inbox_moves_its_messages_and_leaves_it_empty(account: Account) -> None:
    await _fill(account, 3)
    await account.rename("inbox", "Saved/2026")
    assert account.mailbox("INBOX").exists == 0 and account.mailbox("INBOX").uidnext == 4
    assert await _text(account, "Saved/2026") == [mail(n) for n in range(3)]


async def test_inbox_stays(account: Account) -> None:
    with pytest.raises(CannotDo):
        await account.delete("InBox")
    with pytest.raises(MailboxExists):
        await account.create("inbox")


async def test_subscriptions_outlive_mailboxes(world: World, account: Account) -> None:
    first = {"INBOX", "Sent", "Drafts", "Trash", "Junk", "Archive"}
    assert account.subscriptions == first == account.mailboxes.keys()
    await account.create("Lists")
    await account.subscribe("Lists")
    await account.delete("Lists")
    assert (await world.pod().open(world.ref)).subscriptions == {*first, "Lists"}
    await account.unsubscribe("Lists")
    assert account.subscriptions == first


async def test_too_many_keywords_are_refused(world: World) -> None:
    small = await make_world(keywords=2)
    account = await small.pod().open(small.ref)
    await account.append("INBOX", [NewMessage(mail(), frozenset({"one"}))])
    box = account.mailbox("INBOX")
    await account.store_flags(box, [1], "add", ["two"])
    with pytest.raises(LimitReached):
        await account.store_flags(box, [1], "add", ["three"])
    await account.store_flags(box, [1], "add", ["TWO", "\\Flagged"])


async def test_sessions_learn_what_changed(account: Account) -> None:
    await _fill(account, 4)
    box = account.mailbox("INBOX")
    seen = account.head
    calls: list[int] = []
    stop = account.watch(lambda: calls.append(account.head))
    await account.store_flags(box, [1, 2], "add", ["\\Seen"])
    await account.expunge(box, [2, 3])
    changes = box.changes_since(seen)
    assert changes is not None and (list(changes.vanished), list(changes.flagged)) == ([2, 3], [1])
    stop()
    await _fill(account, 1)
    assert calls == [seen + 1, seen + 2]


async def test_recent_belongs_to_the_first_session_and_the_mark_rides_along(world: World, account: Account) -> None:
    await _fill(account, 2)
    box = account.mailbox("INBOX")
    assert (box.peek_recent(), box.claim_recent(), box.claim_recent()) == (1, 1, 3)
    await _fill(account, 1)
    assert (await world.pod().open(world.ref)).mailbox("INBOX").peek_recent() == 3


@pytest.mark.parametrize("size", [100, 3 << 20, 20 << 20])
async def test_large_messages_go_into_packs(world: World, account: Account, size: int) -> None:
    await account.append("INBOX", [NewMessage(mail(1, size))])
    packs = await world.objects.list(f"{world.ref.prefix}pack/")
    assert len(packs) == (size > 2 << 20)
    other = await world.pod().open(world.ref)
    box = other.mailbox("INBOX")
    assert await _text(other, "INBOX") == [mail(1, size)]
    async for page, rows in box.pages([1]):
        at = page.location(rows[0])
        assert await other.body(at, 5, 25) == mail(1, size)[5:25]
        assert [data async for data in other.bodies([at, at])] == [mail(1, size)] * 2
