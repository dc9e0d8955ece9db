"""Postings in the bucket: made in the background, kept by checkpoints and collections, and never missed."""

from __future__ import annotations

import asyncio

import pytest

from mailpod.mime.collation import casemap
from mailpod.store import Account, NewMessage, Store, Where
from mailpod.store.check import CheckOptions, check_bucket, describe
from mailpod.store.checkpoint import decode_root, encode_root
from mailpod.store.ops import PageRef

from .faults import World, make_world

SMALL = {
    "search_due": 4,
    "search_batch": 8,
    "search_segment": 32,
    "checkpoint_commits": 1 << 20,  # by hand
    "checkpoint_header_bytes": 1 << 40,
    "page_messages": 8,
}
WORDS = ["alpha", "beta", "gamma", "delta", "epsilon"]


def letter(number: int) -> bytes:
    return f"Subject: {WORDS[number % 5]}\r\n\r\nThis is letter number {number:04d}.\r\n".encode()


async def filled(count: int, **settings: float) -> tuple[World, Store, Account]:
    """`count` messages, indexed as far as they are due, in a published checkpoint."""
    world = await make_world(**(SMALL | settings))
    store = world.pod()
    account = await store.open(world.ref)
    await account.append("INBOX", [NewMessage(letter(number)) for number in range(count)])
    await store.checkpoint(account)
    while await store.index(account):
        pass
    await publish(store, account)
    return world, store, account


async def publish(store: Store, account: Account) -> None:
    await account.create(f"box {account.head}")
    assert await store.checkpoint(account)


async def narrowed(account: Account, text: str, where: Where = "text") -> list[int]:
    """What must be read or is known to hold the string."""
    box = account.mailbox("INBOX")
    known = await account.narrow(box, casemap(text), list(box.uids), where)
    assert not known.found & known.left
    return list(known.found | known.left)


async def test_only_candidates_are_left() -> None:
    _, store, account = await filled(100)
    box = account.mailbox("INBOX")
    assert [each.terms.count for each in box.search] == [24, 24, 24, 24, 4]
    assert await narrowed(account, "number 0042") == [43]
    assert await narrowed(account, "ALPHA") == list(range(1, 101, 5))
    assert await narrowed(account, "nowhere") == []
    assert await narrowed(account, "mb") == list(box.uids), "two characters are not looked up"
    read = store.searching.octets
    await narrowed(account, "number 0042")
    assert store.searching.octets == read, "what was read is kept"


async def test_headers_and_bodies_are_apart() -> None:
    _, _, account = await filled(8)
    assert await narrowed(account, "alpha", "header") == [1, 6]
    assert await narrowed(account, "alpha", "body") == []
    assert await narrowed(account, "letter number", "body") == list(range(1, 9))
    assert await narrowed(account, "letter number", "header") == []


async def test_texts_decide_where_postings_cannot() -> None:
    _, _, account = await filled(100)
    box = account.mailbox("INBOX")

    async def known(text: str, where: Where) -> tuple[list[int], list[int]]:
        found = await account.narrow(box, casemap(text), list(box.uids), where)
        return list(found.found), list(found.left)

    assert await known("letter number 0042.", "body") == ([43], [])
    assert await known("0042 number", "body") == ([], []), "each of its words is there"
    assert await known("42", "body") == ([43], []), "too short to be looked up"
    assert await known("mm", "text") == (list(range(3, 101, 5)), [])
    assert await known("mm", "body") == ([], []), "in the header only"
    assert await known("alpha", "header") == ([], list(range(1, 101, 5))), "in which field, the message says"
    assert await known("", "body") == ([], list(box.uids))


async def test_segments_of_an_earlier_version_are_made_again() -> None:
    """It compared in another way. Its pods find their pages, as long as a checkpoint of theirs may be read."""
    world, store, account = await filled(10)
    key = f"{world.ref.prefix}checkpoint/{10**20 - 1 - account.log.base:020}"
    root = decode_root(await world.objects.get(key))
    for box in root.boxes:
        earlier: list[list[PageRef | None]] = [[*each.refs()] for each in box.mapped]
        box.search, box.mapped = earlier, []
    await world.objects.delete([key])
    await world.objects.create(key, [encode_root(root)])
    names = {ref.id for each in account.mailbox("INBOX").search for ref in each.refs()}
    checked = await check_bucket(world.objects, CheckOptions("", True, ()))
    assert not [item for item in checked.findings.items if item.object.rpartition("/")[2] in names], "no garbage"
    store = world.pod()
    account = await store.open(world.ref)
    assert account.mailbox("INBOX").search == []
    assert await narrowed(account, "number 0003") == list(range(1, 11))
    while await store.index(account):
        pass
    assert await narrowed(account, "number 0003") == [4, 9, 10]


async def test_the_tail_is_scanned() -> None:
    _, _, account = await filled(10)
    await account.append("INBOX", [NewMessage(letter(number)) for number in (50, 51)])
    assert await narrowed(account, "nowhere") == [9, 10, 11, 12]
    assert await narrowed(account, "number 0003") == [4, 9, 10, 11, 12]


async def test_what_is_behind_is_counted_where_it_is_due() -> None:
    _, store, account = await filled(10)
    assert store.unindexed == 0
    await account.append("INBOX", [NewMessage(letter(number)) for number in range(3)])
    assert store.unindexed == 5
    while await store.index(account):
        pass
    assert store.unindexed == 0


async def test_another_pod_has_them_and_reads_little() -> None:
    world, _, _ = await filled(100)
    other = world.pod()
    account = await other.open(world.ref)
    assert await narrowed(account, "number 0042") == [43]
    stored = sum(ref.length for each in account.mailbox("INBOX").search for ref in each.refs())
    assert 0 < other.searching.octets <= stored


async def test_large_and_expunged_messages() -> None:
    world = await make_world(**(SMALL | {"search_message_bytes": 1000}))
    store = world.pod()
    account = await store.open(world.ref)
    messages = [letter(0), b"\r\n" + b"x" * 2000, letter(2), letter(3), letter(4)]
    await account.append("INBOX", [NewMessage(message) for message in messages])
    box = account.mailbox("INBOX")
    assert await store.index(account)
    await account.expunge(box, [3])
    assert await narrowed(account, "letter") == [1, 2, 4, 5]
    assert await narrowed(account, "nowhere") == [2], "a message that is too large is always read"


async def test_nothing_is_made_where_it_is_switched_off() -> None:
    _, _, account = await filled(20, search_due=0)
    assert account.mailbox("INBOX").search == []
    assert await narrowed(account, "nowhere") == list(range(1, 21))


async def test_mailboxes_without_messages_lose_their_postings() -> None:
    world, store, account = await filled(8)
    box = account.mailbox("INBOX")
    assert box.search
    await account.expunge(box, list(box.uids))
    await publish(store, account)
    other = await world.pod().open(world.ref)
    assert other.mailbox("INBOX").search == []


@pytest.mark.parametrize("which", ["terms", "postings", "texts"])
@pytest.mark.parametrize("damage", ["gone", "other"])
async def test_what_is_gone_or_damaged_is_scanned_and_made_again(which: str, damage: str) -> None:
    world, _, _ = await filled(40)
    store = world.pod()
    account = await store.open(world.ref)
    box = account.mailbox("INBOX")
    key = f"{world.ref.prefix}page/{getattr(box.search[0], which).id}"
    data = await world.objects.get(key)
    await world.objects.delete([key])
    if damage == "other":
        await world.objects.create(key, [data[:-20] + bytes(20)])
    assert 1 in await narrowed(account, "alpha")
    if damage == "gone":
        assert box.search == []
        assert await narrowed(account, "number 0003") == list(box.uids)
        while await store.index(account):
            pass
        assert await narrowed(account, "number 0003") == [4]


async def test_collection_keeps_them_and_takes_what_was_joined() -> None:
    world, store, account = await filled(10)
    first = {ref.id for each in account.mailbox("INBOX").search for ref in each.refs()}
    await account.append("INBOX", [NewMessage(letter(number)) for number in range(20)])
    while await store.index(account):
        pass
    for _ in range(3):
        await publish(store, account)
        world.clock.time += 2 * world.settings.grace
    now = {ref.id for each in account.mailbox("INBOX").search for ref in each.refs()}
    await publish(store, account)
    assert not (await store.collect(world.ref)).refused
    left = {entry.key.rpartition("/")[2] for entry in await world.objects.list(f"{world.ref.prefix}page/")}
    assert now <= left
    assert not (first - now) & left
    assert await narrowed(account, "number 0003") == [4, 14]


async def test_a_checkpoint_is_whole_without_them() -> None:
    world, store, account = await filled(10)
    for each in account.mailbox("INBOX").search:
        await world.objects.delete([f"{world.ref.prefix}page/{ref.id}" for ref in each.refs()])
    for _ in range(3):
        await publish(store, account)
        world.clock.time += 2 * world.settings.grace
    done = await store.collect(world.ref)
    assert (done.broken, done.refused) == ([], "")
    checked = await check_bucket(world.objects, CheckOptions("", True, ()))
    assert [item for item in checked.findings.items if item.severity == "damage"] == []


async def test_fsck_takes_them_for_no_garbage() -> None:
    world, _, account = await filled(10)
    names = {ref.id for each in account.mailbox("INBOX").search for ref in each.refs()}
    checked = await check_bucket(world.objects, CheckOptions("", True, ()))
    assert not [item for item in checked.findings.items if item.object.rpartition("/")[2] in names]


async def test_they_are_published_without_a_client_s_commit() -> None:
    """A checkpoint is of a commit, so the last postings of a mailbox that then rests need one of their own."""
    world = await make_world(**(SMALL | {"checkpoint_commits": 2, "checkpoint_header_bytes": 1}))
    store = world.pod()
    account = await store.open(world.ref)
    for number in range(12):
        await account.append("INBOX", [NewMessage(letter(number))])
    modseq = account.mailbox("INBOX").highest_modseq
    for _ in range(500):
        await asyncio.sleep(0.01)
        other = await world.pod().open(world.ref)
        if [each.terms.last for each in other.mailbox("INBOX").search][-1:] >= [9]:
            break
    assert len(await narrowed(other, "number 0003")) < 5
    assert other.mailbox("INBOX").highest_modseq == modseq, "clients notice nothing"


async def test_inspect_shows_them() -> None:
    world, _, account = await filled(8)
    shown = await describe.Account.open(world.objects, world.ref.prefix)
    [segment] = (await shown.checkpoint(account.log.base))["boxes"][0]["mapped"]
    assert (await shown.page(segment["terms"]["id"]))["uids"] == list(range(1, 9))
    assert (await shown.page(segment["postings"]["id"]))["kind"] == "postings"
    assert (await shown.page(segment["texts"]["id"]))["kind"] == "texts"


async def test_a_search_has_them_made_where_they_are_missing() -> None:
    world = await make_world(**(SMALL | {"search_due": 20}))
    store = world.pod()
    account = await store.open(world.ref)
    await account.append("INBOX", [NewMessage(letter(number)) for number in range(30)])
    assert len(await narrowed(account, "number 0003")) == 30
    for _ in range(500):
        await asyncio.sleep(0.01)
        if account.mailbox("INBOX").search:
            break
    assert len(await narrowed(account, "number 0003")) < 30
