"""Annotations in an account's log (RFC 5464): what is there is there at every pod, by the log and by a checkpoint."""

from __future__ import annotations

import pytest

from mailpod.errors import NoSuchMailbox, TooManyAnnotations, UseNotPossible
from mailpod.store import Account, NewMessage
from mailpod.store.checkpoint import WITH_LATER, decode_root
from mailpod.store.memory import MemoryObjects
from mailpod.store.names import checkpoint_key
from mailpod.store.ops import VERSION, Annotate, Header

from .faults import World, mail, make_world


@pytest.fixture
async def world() -> World:
    return await make_world(MemoryObjects(), annotations=10, account_annotation_bytes=10_240)


@pytest.fixture
async def account(world: World) -> Account:
    return await world.pod().open(world.ref)


async def _root_version(world: World, account: Account) -> int:
    return decode_root(await world.objects.get(checkpoint_key(world.ref.prefix, account.head))).v


async def test_set_changed_and_removed(world: World, account: Account) -> None:
    await account.annotate("INBOX", [("/private/comment", "mine"), ("/shared/comment", "\xff\0")])
    await account.annotate("INBOX", [("/private/comment", None), ("/shared/x", ""), ("/private/gone", None)])
    await account.annotate("", [("/private/note", "server")])
    other = await world.pod().open(world.ref)
    for each in (account, other):
        assert each.mailbox("INBOX").annotations == {"/shared/comment": "\xff\0", "/shared/x": ""}
        assert each.annotations == {"/private/note": "server"}


async def test_a_checkpoint_has_them_and_says_that_older_pods_may_not_read_it(world: World) -> None:
    pod = world.pod()
    account = await pod.open(world.ref)
    await account.append("INBOX", [NewMessage(mail(1))])
    await pod.checkpoint(account)
    assert await _root_version(world, account) == VERSION
    await account.annotate("Sent", [("/private/comment", "mine")])
    await account.annotate("", [("/private/note", "server")])
    await pod.checkpoint(account)
    assert await _root_version(world, account) == WITH_LATER
    other = await world.pod().open(world.ref)
    assert (other.mailbox("Sent").annotations, other.annotations) == (
        {"/private/comment": "mine"}, {"/private/note": "server"}
    )  # fmt: skip
    assert other.log.base == other.head


async def test_rename_carries_them_and_delete_drops_them(account: Account) -> None:
    await account.create("Work/2026")
    await account.annotate("Work/2026", [("/private/comment", "mine")])
    await account.rename("Work", "Old")
    assert account.mailbox("Old/2026").annotations == {"/private/comment": "mine"}
    await account.delete("Old/2026")
    await account.create("Old/2026")
    assert account.mailbox("Old/2026").annotations == {}


async def test_renamed_inbox_and_the_new_one_both_have_them(account: Account) -> None:
    """RFC 5464 §4.1."""
    await account.append("INBOX", [NewMessage(mail(1))])
    await account.annotate("INBOX", [("/private/comment", "mine")])
    await account.rename("INBOX", "Old")
    for name in ("INBOX", "Old"):
        assert account.mailbox(name).annotations == {"/private/comment": "mine"}


async def test_setting_them_raises_the_modseq_of_their_mailbox(world: World, account: Account) -> None:
    """RFC 7162 §3.2. A commit of the first version, which did not say so, means what it meant then."""
    sent = account.mailbox("Sent").highest_modseq
    await account.annotate("INBOX", [("/private/comment", "mine")])
    assert (account.mailbox("INBOX").highest_modseq, account.mailbox("Sent").highest_modseq) == (account.head, sent)
    state = (await world.pod().open(world.ref)).log.served
    assert state.digest() == account.log.served.digest()
    older = Annotate(state.names["Sent"].id, (("/private/comment", "mine"),))
    state.apply(Header(1, "0" * 24, state.head_id, state.head + 1, 0, "", ops=(older,)), 0)
    assert state.names["Sent"].annotations and state.names["Sent"].highest_modseq == sent


async def test_limits(account: Account) -> None:
    """All of one command, or nothing."""
    await account.annotate("INBOX", [(f"/private/{n}", "") for n in range(9)])
    head = account.head
    with pytest.raises(TooManyAnnotations):
        await account.annotate("INBOX", [("/private/9", ""), ("/private/10", "")])
    with pytest.raises(TooManyAnnotations):
        await account.annotate("Sent", [("/private/a", "x" * 10_240)])
    with pytest.raises(NoSuchMailbox):
        await account.annotate("nowhere", [("/private/a", "")])
    assert (account.head, len(account.mailbox("INBOX").annotations)) == (head, 9)
    await account.annotate("INBOX", [("/private/0", None), ("/private/9", ""), ("/private/10", "")])
    await account.annotate("INBOX", [("/private/1", "changed, not added")])


async def test_what_changes_nothing_is_no_commit(account: Account) -> None:
    await account.annotate("INBOX", [("/private/comment", "mine")])
    head = account.head
    await account.annotate("INBOX", [("/private/comment", "mine"), ("/private/other", None)])
    await account.annotate("Sent", [("/private/specialuse", "\\Sent")])
    assert account.head == head


async def test_special_use_is_an_annotation_by_name(world: World, account: Account) -> None:
    """RFC 6154 §4, as CREATE has it: one mailbox a use."""
    await account.create("Gesendet")
    with pytest.raises(UseNotPossible):
        await account.annotate("Gesendet", [("/private/specialuse", "\\Sent")])
    with pytest.raises(UseNotPossible):
        await account.annotate("INBOX", [("/private/specialuse", "\\Flagged")])
    await account.annotate("Sent", [("/private/specialuse", None)])
    await account.annotate("Gesendet", [("/private/specialuse", "\\Sent")])
    other = await world.pod().open(world.ref)
    assert (other.mailbox("Sent").special_use, other.mailbox("Gesendet").special_use) == (None, "\\Sent")
    assert other.mailbox("Gesendet").annotations == {}
