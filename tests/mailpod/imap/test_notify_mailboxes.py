"""NOTIFY, of mailboxes that are not selected: which they are, and what of them is told (RFC 5465 §5)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.mailpod.imap.dialogue import World
from tests.mailpod.imap.telling import FLAGS, MESSAGES, nothing_more, told

from mailpod.imap import watching
from mailpod.store import NewMessage


async def test_status_of_other_mailboxes(world: World) -> None:
    client, account = await world.login(select="INBOX"), await world.account()
    await account.append("Sent", [NewMessage(b"x")])
    validity = account.mailbox("Sent").uidvalidity
    first = await client.ok(b"NOTIFY SET STATUS (mailboxes (Sent INBOX nowhere) %b)" % MESSAGES)
    assert first == [b"* STATUS Sent (MESSAGES 1 UIDNEXT 2 UIDVALIDITY %d)" % validity], "INBOX is selected"
    await account.append("Sent", [NewMessage(b"y")])
    assert await told(client, 1) == [b"* STATUS Sent (MESSAGES 2 UIDNEXT 3 UIDVALIDITY %d)" % validity]
    await account.store_flags(account.mailbox("Sent"), [1], "add", ["\\Seen"])
    await nothing_more(client)
    await account.expunge(account.mailbox("Sent"), [1])
    assert await told(client, 1) == [b"* STATUS Sent (MESSAGES 1 UIDNEXT 3 UIDVALIDITY %d)" % validity]


async def test_status_with_flags_and_condstore(world: World) -> None:
    client, account = await world.login(), await world.account()
    await client.ok(b"ENABLE CONDSTORE")
    await account.append("Sent", [NewMessage(b"x")])
    (first,) = await client.ok(b"NOTIFY SET STATUS (subtree Sent %b)" % FLAGS)
    sent = account.mailbox("Sent")
    assert first == b"* STATUS Sent (MESSAGES 1 UIDNEXT 2 UIDVALIDITY %d UNSEEN 1 HIGHESTMODSEQ %d)" % (
        sent.uidvalidity,
        sent.highest_modseq,
    )
    await account.store_flags(sent, [1], "add", ["\\Seen"])
    assert await told(client, 1) == [
        b"* STATUS Sent (UIDVALIDITY %d UNSEEN 0 HIGHESTMODSEQ %d)" % (sent.uidvalidity, sent.highest_modseq)
    ]


async def test_an_annotation_is_no_change_of_flags(world: World) -> None:
    """It raises HIGHESTMODSEQ, as RFC 7162 §3.2 has it, which flags do too."""
    client, account = await world.login(), await world.account()
    await account.append("Sent", [NewMessage(b"x")])
    await client.ok(b"ENABLE CONDSTORE")
    await client.ok(b"NOTIFY SET (mailboxes Sent %b)" % FLAGS)
    before = account.mailbox("Sent").highest_modseq
    await client.ok(b'SETMETADATA Sent (/shared/comment "x")')
    assert await client.ok(b"STATUS Sent (HIGHESTMODSEQ)") == [b"* STATUS Sent (HIGHESTMODSEQ %d)" % account.head]
    assert account.head > before
    await account.store_flags(account.mailbox("Sent"), [1], "add", ["\\Flagged"])
    assert (await client.line()).endswith(b"UNSEEN 1 HIGHESTMODSEQ %d)" % account.head)


@pytest.mark.parametrize(
    ("mailboxes", "watched"),
    [
        (b"personal", {"INBOX", "Sent", "Junk", "a", "a/b", "ab"}),
        (b"inboxes", {"INBOX", "Junk"}),
        (b"subscribed", {"Sent", "ab"}),
        (b"subtree a", {"a", "a/b"}),
        (b"subtree (a sent Sent)", {"a", "a/b", "Sent"}),
        (b"subtree a/", {"a", "a/b"}),
        (b"subtree-one (a a/b)", {"a", "a/b"}),
        (b'subtree-one ""', {"INBOX", "Sent", "Junk", "a", "ab"}),
        (b'subtree ""', {"INBOX", "Sent", "Junk", "a", "a/b", "ab"}),
        (b'mailboxes (a inbox "%")', {"a", "INBOX"}),
        (b"personal NONE) (mailboxes a", set()),
    ],
)
async def test_which_mailboxes(world: World, mailboxes: bytes, watched: set[str]) -> None:
    client, account = await world.login(), await world.account()
    for name in ("Drafts", "Trash", "Archive"):
        await account.delete(name)
    await account.create("a/b")
    await account.create("ab")
    for name in list(account.subscriptions):
        await account.unsubscribe(name)
    await account.subscribe("Sent")
    await account.subscribe("ab")
    found = await client.ok(b"NOTIFY SET STATUS (%b %b)" % (mailboxes, MESSAGES))
    assert {line.split()[2].decode() for line in found} == watched


async def test_inboxes_are_where_mail_goes(world: World) -> None:
    """RFC 5465 §6.3; spam goes to the mailbox of that name."""
    client, account = await world.login(), await world.account()
    await account.rename("Junk", "Spam")
    (inbox,) = await client.ok(b"NOTIFY SET STATUS (inboxes %b)" % MESSAGES)
    assert inbox.startswith(b"* STATUS INBOX ")
    await account.create("Junk")
    for name in ("Spam", "Junk"):
        await account.append(name, [NewMessage(b"x")])
    assert (await client.line()).startswith(b"* STATUS Junk ")
    await nothing_more(client)


async def test_names(world: World) -> None:
    """RFC 5465 §5.4: with the direct parent; a rename tells the old name, and nothing of what is below."""
    client, account = await world.login(), await world.account()
    await client.ok(b"NOTIFY SET (personal (MailboxName))")
    await account.create("Work")
    assert await told(client, 1) == [b'* LIST (\\HasNoChildren) "/" Work']
    await account.create("Work/2026")
    assert await told(client, 2) == [
        b'* LIST (\\HasNoChildren) "/" Work/2026',
        b'* LIST (\\HasChildren) "/" Work',
    ]
    await account.rename("Work", "Old")
    assert await told(client, 1) == [b'* LIST (\\HasChildren) "/" Old ("OLDNAME" (Work))']
    await account.delete("Old/2026")
    assert await told(client, 2) == [
        b'* LIST (\\NonExistent \\HasNoChildren) "/" Old/2026',
        b'* LIST (\\HasNoChildren) "/" Old',
    ]
    await nothing_more(client)


async def test_what_inbox_is_renamed_to(world: World) -> None:
    """RFC 5465 §5.4: it has the old name, and INBOX, which is assumed to be a new one, is not told by name."""
    client, account = await world.login(), await world.account()
    await account.append("INBOX", [NewMessage(b"x")])
    await client.ok(b"NOTIFY SET (personal (MailboxName))")
    await account.rename("INBOX", "Old")
    assert await told(client, 1) == [b'* LIST (\\HasNoChildren) "/" Old ("OLDNAME" (INBOX))']
    await account.rename("INBOX", "Old/empty")
    assert await told(client, 2) == [
        b'* LIST (\\HasNoChildren) "/" Old/empty ("OLDNAME" (INBOX))',
        b'* LIST (\\HasChildren) "/" Old',
    ]
    await account.rename("Old", "Older")
    assert await told(client, 1) == [b'* LIST (\\HasChildren) "/" Older ("OLDNAME" (Old))']
    await client.ok(b"NOTIFY SET (mailboxes INBOX (MailboxName))")
    await account.rename("INBOX", "Oldest")
    await client.ok(b"NOTIFY SET (personal (MailboxName))")
    await account.delete("Oldest")
    assert await told(client, 1) == [b'* LIST (\\NonExistent \\HasNoChildren) "/" Oldest']
    await nothing_more(client)


async def test_subscriptions(world: World) -> None:
    client, account = await world.login(), await world.account()
    for name in list(account.subscriptions):
        await account.unsubscribe(name)
    await client.ok(b"NOTIFY SET (subscribed (SubscriptionChange)) (mailboxes Sent (MailboxName))")
    await account.subscribe("Sent")
    assert await told(client, 1) == [b'* LIST (\\HasNoChildren \\Sent \\Subscribed) "/" Sent']
    await account.unsubscribe("Sent")
    assert await told(client, 1) == [b'* LIST (\\HasNoChildren \\Sent) "/" Sent']
    await account.subscribe("gone")
    assert await told(client, 1) == [b'* LIST (\\NonExistent \\HasNoChildren \\Subscribed) "/" gone']


async def test_annotations(world: World) -> None:
    """RFC 5465 §5.6, §5.7: names without values."""
    client, account = await world.login(), await world.account()
    await client.ok(b"NOTIFY SET (mailboxes Sent (MailboxMetadataChange)) (personal (ServerMetadataChange))")
    await account.annotate("Sent", [("/private/comment", "x"), ("/shared/comment", "y")])
    assert await told(client, 1) == [b"* METADATA Sent /private/comment /shared/comment"]
    await account.annotate("Sent", [("/private/comment", None), ("/private/specialuse", None)])
    assert await told(client, 1) == [b"* METADATA Sent /private/comment /private/specialuse"]
    await account.annotate("INBOX", [("/private/comment", "x")])
    await account.annotate("", [("/private/x", "y")])
    assert await told(client, 1) == [b'* METADATA "" /private/x']
    await nothing_more(client)


async def test_annotations_after_enable(world: World) -> None:
    """RFC 5464 §4.4: in commands and IDLE, once METADATA is enabled; never of the client's own changes."""
    client, account = await world.login(), await world.account()
    await account.annotate("Sent", [("/private/comment", "before")])
    assert await client.ok(b"ENABLE METADATA") == [b"* ENABLED METADATA"]
    await client.ok(b"SELECT INBOX")
    await account.annotate("Sent", [("/private/comment", "x")])
    assert await client.ok(b"NOOP") == [b"* METADATA Sent /private/comment"]
    assert await client.ok(b'SETMETADATA Sent (/private/comment "mine")') == []
    await account.append("INBOX", [NewMessage(b"x")])
    assert await client.ok(b"NOOP") == [b"* 1 EXISTS", b"* 1 RECENT"]
    await client.send(b"i IDLE\r\n")
    assert await client.line() == b"+ idling"
    await account.annotate("", [("/private/x", "y")])
    assert await client.line() == b'* METADATA "" /private/x'


async def test_the_clients_own_changes_are_not_told(world: World) -> None:
    """RFC 5465 §5."""
    client = await world.login()
    await client.ok(
        b"NOTIFY SET (personal (MailboxName SubscriptionChange MailboxMetadataChange ServerMetadataChange))"
    )
    own = (b"CREATE x", b"RENAME x y", b"SUBSCRIBE y", b'SETMETADATA y (/private/a "")', b"UNSUBSCRIBE y", b"DELETE y")
    for command in own:
        assert await client.ok(command) == [], command


async def test_nor_of_what_is_above_them_nor_of_messages_that_the_client_brought(world: World) -> None:
    """RFC 5465 §5; but of the changes of others that lie between."""
    client, account = await world.login(select="INBOX"), await world.account()
    await client.ok(b"NOTIFY SET (personal (MailboxMetadataChange MailboxName MessageNew MessageExpunge FlagChange))")
    await client.ok(b'SETMETADATA INBOX (/private/comment "x")')
    own = (b"CREATE x", b"CREATE x/y/z", b"RENAME x/y/z p/q", b"DELETE x/y", b"RENAME INBOX old/inbox")
    messages = (
        b"APPEND x {1+}\r\nx",
        b"SELECT x",
        b"COPY 1 p",
        b"APPEND p {1+}\r\ny",
        b"MOVE 1 p/q",
        b"APPEND x {1+}\r\nx",
    )
    for command in (*own, *messages):
        assert not [line for line in await client.ok(command) if line.split()[1] in (b"LIST", b"METADATA", b"STATUS")]
    session = world.sessions()[0]
    for change in (
        account.append("p", [NewMessage(b"x")]),
        account.expunge(account.mailbox("p"), [1]),
        account.store_flags(account.mailbox("p"), [2], "add", ["\\Seen"]),
    ):
        session._busy = True  # as a command does
        await change
        session._busy = False
        (status,) = await client.ok(b"APPEND p {1+}\r\nz")
        assert status.startswith(b"* STATUS p (MESSAGES %d UIDNEXT " % account.mailbox("p").exists)


async def test_a_mailbox_that_is_selected_no_more(world: World) -> None:
    """What was not told of it while it was selected is told by STATUS."""
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"x"), NewMessage(b"y")])
    client = await world.login(select="INBOX")
    await client.ok(b"NOTIFY SET (personal %b)" % MESSAGES)
    await account.expunge(account.mailbox("INBOX"), [1])
    await nothing_more(client)
    (status,) = await client.ok(b"UNSELECT")
    assert status.startswith(b"* STATUS INBOX (MESSAGES 1 UIDNEXT 3 ")
    await account.append("INBOX", [NewMessage(b"z")])
    assert (await client.line()).startswith(b"* STATUS INBOX (MESSAGES 2 UIDNEXT 4 ")


async def test_another_mailbox_under_the_same_name(world: World) -> None:
    client, account = await world.login(), await world.account()
    await account.append("Sent", [NewMessage(b"x")])
    await client.ok(b"NOTIFY SET (personal (MessageNew MessageExpunge MailboxName))")
    session = world.sessions()[0]
    session._busy = True  # as a command does: nothing is seen in between
    await account.delete("Sent")
    await account.create("Sent")
    session._busy = False
    validity = account.mailbox("Sent").uidvalidity
    assert await client.ok(b"NOOP") == [
        b'* LIST (\\HasNoChildren \\Subscribed) "/" Sent',
        b'* LIST (\\HasNoChildren \\Subscribed) "/" Sent',
        b"* STATUS Sent (MESSAGES 0 UIDNEXT 1 UIDVALIDITY %d)" % validity,
    ]


async def test_names_that_change_places(world: World) -> None:
    """Each by the name that it has in the end, and its own counts."""
    client, account = await world.login(), await world.account()
    for name, count in (("a", 1), ("b", 2)):
        await account.create(name)
        await account.append(name, [NewMessage(b"x")] * count)
    await client.ok(b"NOTIFY SET (personal (MessageNew MessageExpunge MailboxName))")
    session = world.sessions()[0]
    session._busy = True
    for old, new in (("a", "c"), ("b", "a"), ("c", "b")):
        await account.rename(old, new)
    session._busy = False
    told = await client.ok(b"NOOP")
    assert told[:2] == [b'* LIST (\\HasNoChildren) "/" b', b'* LIST (\\HasNoChildren) "/" a']
    assert {line.partition(b" UIDNEXT")[0] for line in told[2:]} == {
        b"* STATUS a (MESSAGES 2",
        b"* STATUS b (MESSAGES 1",
    }


async def test_a_session_looks_at_what_changed_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be thousands of sessions, and hundreds of mailboxes."""
    client, account = await world.login(), await world.account()
    for number in range(20):
        await account.create(f"Box{number}")
    await client.ok(b"NOTIFY SET (personal %b)" % FLAGS)
    looked: list[str] = []

    def see(name: str, *rest: Any) -> Any:
        looked.append(name)
        return seen(name, *rest)

    seen = watching._Seen
    monkeypatch.setattr(watching, "_Seen", see)
    await account.append("Box7", [NewMessage(b"x")])
    assert [line.split(b" (")[0] for line in await told(client, 1)] == [b"* STATUS Box7"]
    await account.move(account.mailbox("Box7"), [1], "Box8")
    assert [line.split(b" (")[0] for line in await told(client, 2)] == [b"* STATUS Box7", b"* STATUS Box8"]
    await nothing_more(client)
    assert looked == ["Box7", "Box7", "Box8"]
