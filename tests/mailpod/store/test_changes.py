"""What changed since a commit: the mailboxes of messages, and whether there was more."""

from __future__ import annotations

import pytest

from mailpod.store import Account, NewMessage, Who

from .faults import World, mail, make_world


async def _opened(world: World) -> Account:
    account = await world.pod().open(world.ref)
    await account.append("INBOX", [NewMessage(mail(number)) for number in range(3)])
    return account


def _names(account: Account, head: int) -> list[str] | None:
    changed = account.changed_since(head)
    return None if changed is None else sorted(box.name for box in changed)


async def test_messages() -> None:
    account = await _opened(await make_world())
    inbox, first = account.mailbox("INBOX"), account.head
    assert _names(account, first) == []
    await account.append("Sent", [NewMessage(mail())])
    second = account.head
    await account.store_flags(inbox, [1], "add", ["\\Seen"])
    third = account.head
    await account.copy(inbox, [1], "Archive")
    fourth = account.head
    await account.move(inbox, [2], "Archive")
    fifth = account.head
    await account.expunge(inbox, [3])
    everything = (first, second, third, fourth, fifth, account.head)
    found = [_names(account, head) for head in (*everything, *reversed(everything))]
    assert found[:6] == [
        ["Archive", "INBOX", "Sent"], ["Archive", "INBOX"], ["Archive", "INBOX"], ["Archive", "INBOX"], ["INBOX"], [],
    ]  # fmt: skip
    assert found[6:] == found[5::-1]


@pytest.mark.parametrize("what", ["create", "rename", "delete", "subscribe", "annotate", "annotate all", "grant"])
async def test_more_than_messages(what: str) -> None:
    account = await _opened(await make_world())
    await account.create("Work")
    head = account.head
    match what:
        case "create":
            await account.create("New")
        case "rename":
            await account.rename("Work", "Old")
        case "delete":
            await account.delete("Work")
        case "subscribe":
            await account.subscribe("Else")
        case "annotate":
            await account.annotate("INBOX", [("/private/comment", "x")])
        case "annotate all":
            await account.annotate("", [("/private/comment", "x")])
        case "grant":
            await account.grant("INBOX", Who("bob@x.test", "b1"), lambda _: "lr")
    changed = account.head
    await account.append("INBOX", [NewMessage(mail())])
    assert _names(account, head) is None
    assert _names(account, changed) == ["INBOX"]


async def test_what_is_not_known() -> None:
    """Of before the checkpoint that the account was opened from, and of commits that are not there."""
    world = await make_world()
    account = await _opened(world)
    before = account.head
    await account.append("Sent", [NewMessage(mail())])
    assert await account._store.checkpoint(account)
    at = account.head
    await account.append("INBOX", [NewMessage(mail())])
    other = await world.pod().open(world.ref)
    assert _names(other, before) is None
    assert _names(other, at) == ["INBOX"]
    assert _names(other, other.head + 1) is None
