"""Mailbox access keys in an account's log (RFC 4467 §2.2): one a mailbox, the same at every pod, gone when reset."""

from __future__ import annotations

import asyncio

import pytest

from mailpod.errors import NoSuchMailbox
from mailpod.store import Account, NewMessage
from mailpod.store.checkpoint import WITH_KEYS, WITH_LATER, decode_root
from mailpod.store.memory import MemoryObjects
from mailpod.store.names import checkpoint_key

from .faults import Faulty, World, mail, make_world


@pytest.fixture
async def world() -> World:
    return await make_world(Faulty(MemoryObjects()))


@pytest.fixture
async def account(world: World) -> Account:
    return await world.pod().open(world.ref)


async def test_made_where_there_is_none_in_one_commit(world: World, account: Account) -> None:
    head = account.head
    first = await account.url_keys.of(["INBOX", "Sent", "inbox"])
    assert account.head == head + 1
    assert first[0] == first[2] != first[1] and {len(key) for key in first} == {20}
    other = await world.pod().open(world.ref)
    assert await other.url_keys.of(["Sent", "INBOX"]) == [first[1], first[0]]
    assert other.head == head + 1
    with pytest.raises(NoSuchMailbox):
        await account.url_keys.of(["Drafts", "nowhere"])
    assert not account.mailbox("Drafts").url_key


async def test_two_pods_at_once_have_one(world: World, account: Account) -> None:
    other = await world.pod().open(world.ref)
    one, two = await asyncio.gather(account.url_keys.of(["INBOX"]), other.url_keys.of(["INBOX"]))
    await account.refresh()
    assert one == two == [bytes.fromhex(account.mailbox("INBOX").url_key)]


async def test_after_an_answer_that_was_lost(world: World, account: Account) -> None:
    assert isinstance(world.objects, Faulty)
    world.objects.script.append("lost")
    key = await account.url_keys.of(["INBOX"])
    assert await (await world.pod().open(world.ref)).url_keys.of(["INBOX"]) == key


async def test_reset_and_forgotten(world: World, account: Account) -> None:
    before = await account.url_keys.of(["INBOX", "Sent"])
    head = account.head
    await account.url_keys.reset("INBOX")
    after = await account.url_keys.of(["INBOX", "Sent"])
    assert (after[0] != before[0], after[1], account.head) == (True, before[1], head + 1)
    await account.url_keys.reset("Drafts")
    await account.url_keys.forget()
    other = await world.pod().open(world.ref)
    for each in (account, other):
        assert not any(box.url_key for box in each.mailboxes.values())
    await account.url_keys.forget()
    assert account.head == head + 3, "there was nothing to forget"
    with pytest.raises(NoSuchMailbox):
        await account.url_keys.reset("nowhere")


async def test_a_checkpoint_has_them_and_older_pods_do_not_read_it(world: World) -> None:
    pod = world.pod()
    account = await pod.open(world.ref)
    versions = []
    for change in (
        account.annotate("", [("/private/note", "x")]), account.url_keys.of(["Sent"]), account.url_keys.forget()
    ):  # fmt: skip
        await change
        await pod.checkpoint(account)
        key = account.mailbox("Sent").url_key
        other = await world.pod().open(world.ref)
        assert (other.log.base, other.mailbox("Sent").url_key) == (other.head, key)
        versions.append(decode_root(await world.objects.get(checkpoint_key(world.ref.prefix, account.head))).v)
    assert versions == [WITH_LATER, WITH_KEYS, WITH_LATER]


async def test_it_is_the_mailboxs_and_nobody_elses(account: Account) -> None:
    await account.create("Work")
    [key] = await account.url_keys.of(["Work"])
    await account.create("Work/2026")
    await account.rename("Work", "Old")
    assert [account.mailbox(name).url_key for name in ("Old", "Old/2026")] == [key.hex(), ""]
    await account.delete("Old")
    await account.create("Old")
    assert account.mailbox("Old").url_key == ""
    [inbox] = await account.url_keys.of(["INBOX"])
    await account.append("INBOX", [NewMessage(mail(1))])
    await account.rename("INBOX", "All")
    assert [account.mailbox(name).url_key for name in ("INBOX", "All")] == [inbox.hex(), ""]
