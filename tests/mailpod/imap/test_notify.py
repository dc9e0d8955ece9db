"""NOTIFY: RFC 5465. `told` are responses that come without a command."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.imap.dialogue import Client, MakeWorld, World, eventually, other_pod, user

from mailpod.imap import watching, wire
from mailpod.imap.grammar_notify import BadEvent, TooMuch, notify
from mailpod.imap.lexer import BadCommand, Cursor, Frame
from mailpod.imap.syntax_notify import EventGroup, NotifyArgs, SelectedEvents
from mailpod.store import NewMessage

MESSAGES = b"(MessageNew MessageExpunge)"
FLAGS = b"(MessageNew MessageExpunge FlagChange)"


async def told(client: Client, count: int) -> list[bytes]:
    return [await client.line() for _ in range(count)]


async def nothing_more(client: Client) -> None:
    assert await client.ok(b"NOOP") == []


async def test_the_selected_mailbox_between_commands(world: World) -> None:
    client, account = await world.login(select="INBOX"), await world.account()
    assert await client.ok(b"NOTIFY SET (selected %b)" % FLAGS) == []
    await account.append("INBOX", [NewMessage(b"x")])
    assert await told(client, 2) == [b"* 1 EXISTS", b"* 1 RECENT"]
    await account.store_flags(account.mailbox("INBOX"), [1], "add", ["\\Seen"])
    assert await told(client, 1) == [b"* 1 FETCH (UID 1 FLAGS (\\Recent \\Seen))"]
    await account.expunge(account.mailbox("INBOX"), [1])
    assert await told(client, 2) == [b"* 1 EXPUNGE", b"* 0 RECENT"]
    await account.append("Sent", [NewMessage(b"x")])
    await nothing_more(client)


async def test_new_messages_are_fetched(world: World) -> None:
    client, account = await world.login(select="INBOX"), await world.account()
    await client.ok(b"NOTIFY SET (selected (MessageNew (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)]) MessageExpunge))")
    await account.append("INBOX", [NewMessage(b"Subject: %d\r\n\r\n" % n) for n in range(2)])
    assert await told(client, 4) == [
        b"* 2 EXISTS",
        b"* 2 RECENT",
        b"* 1 FETCH (UID 1 BODY[HEADER.FIELDS (SUBJECT)] {14}\r\nSubject: 0\r\n\r\n)",
        b"* 2 FETCH (UID 2 BODY[HEADER.FIELDS (SUBJECT)] {14}\r\nSubject: 1\r\n\r\n)",
    ]
    await client.ok(b"APPEND Sent {1+}\r\nx")
    assert await client.ok(b"APPEND INBOX {1+}\r\nx") == [b"* 3 EXISTS", b"* 3 RECENT"], "its own are not fetched"
    await nothing_more(client)


async def test_searches_that_are_updated_may_have_new_messages_fetched(world: World) -> None:
    """RFC 5465 §7: in commands and in IDLE; with NOTIFY one response a message; not of one that was there before."""
    client, account = await world.login(select="INBOX"), await world.account()
    await account.append("INBOX", [NewMessage(b"Subject: a\r\n\r\n", frozenset(["\\Seen"]))])
    await client.ok(b"NOOP")
    await client.ok(b"UID SEARCH RETURN (COUNT UPDATE (FLAGS)) UNSEEN")
    await account.append("INBOX", [NewMessage(b"Subject: b\r\n\r\n")])
    assert await client.ok(b"NOOP") == [
        b"* 2 EXISTS",
        b"* 2 RECENT",
        b'* ESEARCH (TAG "a") UID ADDTO (0 2)',
        b"* 2 FETCH (UID 2 FLAGS (\\Recent))",
    ]
    await client.send(b"i IDLE\r\n")
    assert await client.line() == b"+ idling"
    await account.store_flags(account.mailbox("INBOX"), [1], "remove", ["\\Seen"])
    assert await told(client, 2) == [b"* 1 FETCH (FLAGS (\\Recent))", b'* ESEARCH (TAG "a") UID ADDTO (0 1)']
    await account.append("INBOX", [NewMessage(b"c")])
    assert (await told(client, 4))[2:] == [
        b'* ESEARCH (TAG "a") UID ADDTO (0 3)',
        b"* 3 FETCH (UID 3 FLAGS (\\Recent))",
    ]
    await client.send(b"DONE\r\n")
    assert await client.line() == b"i OK IDLE completed"
    await client.ok(b"NOTIFY SET (selected (MessageNew (RFC822.SIZE) MessageExpunge))")
    await account.append("INBOX", [NewMessage(b"d")])
    assert (await told(client, 4))[2:] == [  # RFC 5465 §5.2: FETCH follows ADDTO, and there is one
        b'* ESEARCH (TAG "a") UID ADDTO (0 4)',
        b"* 4 FETCH (UID 4 RFC822.SIZE 1 FLAGS (\\Recent))",
    ]
    await nothing_more(client)


async def test_new_messages_are_fetched_with_what_was_enabled(world: World) -> None:
    """RFC 7162 §3.1: MODSEQ; not above that of an EXPUNGE that is held back (RFC 5465 §6.1.2)."""
    client, account = await world.login(), await world.account()
    inbox = account.mailbox("INBOX")
    await account.append("INBOX", [NewMessage(b"x")])
    await client.ok(b"ENABLE QRESYNC")
    await client.ok(b"SELECT INBOX")
    await client.ok(b"NOTIFY SET (selected-delayed (MessageNew (RFC822.SIZE) MessageExpunge))")
    await account.append("INBOX", [NewMessage(b"y")])
    assert (await told(client, 3))[2] == b"* 2 FETCH (UID 2 RFC822.SIZE 1 MODSEQ (%d))" % inbox.highest_modseq
    known = inbox.highest_modseq
    await account.expunge(inbox, [1])
    assert await told(client, 1) == [b"* OK [HIGHESTMODSEQ %d] Highest" % known]
    await account.append("INBOX", [NewMessage(b"z")])
    assert (await told(client, 4))[3] == b"* 3 FETCH (UID 3 RFC822.SIZE 1)"
    assert b"* VANISHED 1" in await client.ok(b"NOOP")


async def test_nothing_is_told_after_bye(world: World) -> None:
    client, account = await world.login(), await world.account()
    await account.create("Work")
    await client.ok(b"SELECT Work")
    await client.ok(b"NOTIFY SET (selected %b) (personal (MailboxName))" % MESSAGES)
    await account.delete("Work")
    assert (await client.line()).startswith(b"* BYE The selected mailbox was deleted") and await client.closed()


async def test_without_a_specifier_nothing_of_the_selected_mailbox(world: World) -> None:
    """RFC 5465 §3.1: the same as SELECTED NONE, in commands too; and NOTIFY SET is a NOOP first."""
    client, account = await world.login(select="INBOX"), await world.account()
    for command in (b"NOTIFY SET (personal (MailboxName))", b"NOTIFY SET (selected NONE)", b"NOTIFY NONE"):
        await client.ok(b"NOTIFY SET (selected %b)" % MESSAGES)
        await client.ok(command)
        await account.append("INBOX", [NewMessage(b"x")])
        await nothing_more(client)
        untold = await client.ok(b"NOTIFY SET (selected %b)" % MESSAGES)
        assert len(untold) == 2 and untold[0].endswith(b"EXISTS")


async def test_flags_are_told_only_where_they_are_asked_for(world: World) -> None:
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"x"), NewMessage(b"y")])
    client = await world.login(select="INBOX")
    await client.ok(b"NOTIFY SET (selected %b)" % MESSAGES)
    await account.store_flags(account.mailbox("INBOX"), [1], "add", ["\\Seen"])
    await account.expunge(account.mailbox("INBOX"), [2])
    assert await told(client, 2) == [b"* 2 EXPUNGE", b"* 1 RECENT"]
    await nothing_more(client)


@pytest.mark.parametrize("events", [b"NONE", b"SET (selected (MessageNew MessageExpunge))"])
@pytest.mark.parametrize("command", [b"EXPUNGE", b"MOVE 2 Trash", b"REPLACE 2 Trash {1+}\r\nx"])
async def test_what_the_client_expunges_is_told(world: World, events: bytes, command: bytes) -> None:
    """RFC 5465 §1: it is no notification; and still no flags that others changed."""
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"x"), NewMessage(b"y", frozenset(["\\Deleted"]))])
    client = await world.login(select="INBOX")
    await client.ok(b"NOTIFY " + events)
    await account.store_flags(account.mailbox("INBOX"), [1], "add", ["\\Seen"])
    expunged = [line for line in await client.ok(command) if not line.startswith(b"* OK")]
    assert expunged == [b"* 2 EXPUNGE", b"* 1 RECENT"]


async def test_flags_that_are_not_told_are_below_no_highest_modseq(world: World) -> None:
    """RFC 7162 §3.2.7: what the reply to EXPUNGE says is known in full."""
    client, account = await world.login(), await world.account()
    inbox = account.mailbox("INBOX")
    await account.append("INBOX", [NewMessage(b"x"), NewMessage(b"y", frozenset(["\\Deleted"]))])
    await client.ok(b"ENABLE QRESYNC")
    await client.ok(b"SELECT INBOX")
    await client.ok(b"NOTIFY SET (selected %b)" % MESSAGES)
    before = inbox.highest_modseq
    await account.store_flags(inbox, [1], "add", ["\\Seen"])
    *_, tagged = await client.ask(b"EXPUNGE")
    assert tagged.startswith(b"a OK [HIGHESTMODSEQ %d]" % before)


async def test_delayed_expunges_wait_for_a_command(world: World) -> None:
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"x"), NewMessage(b"y")])
    client = await world.login(select="INBOX")
    await client.ok(b"NOTIFY SET (selected-delayed %b)" % MESSAGES)
    await account.expunge(account.mailbox("INBOX"), [1])
    await account.append("INBOX", [NewMessage(b"z")])
    assert await told(client, 2) == [b"* 3 EXISTS", b"* 3 RECENT"]
    assert await client.ok(b"FETCH 2 UID") == [b"* 2 FETCH (UID 2)"]
    assert await client.ok(b"NOOP") == [b"* 1 EXPUNGE", b"* 2 RECENT"]


async def test_in_idle_the_same_is_told(world: World) -> None:
    """RFC 5465 §4."""
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"x")])
    client = await world.login(select="INBOX")
    await client.ok(b"NOTIFY SET (selected-delayed (MessageNew (UID) MessageExpunge)) (mailboxes Sent %b)" % MESSAGES)
    await client.send(b"i IDLE\r\n")
    assert await client.line() == b"+ idling"
    await account.expunge(account.mailbox("INBOX"), [1])
    assert await told(client, 2) == [b"* 1 EXPUNGE", b"* 0 RECENT"]
    await account.append("Sent", [NewMessage(b"x")])
    assert (await client.line()).startswith(b"* STATUS Sent (MESSAGES 1 UIDNEXT 2 UIDVALIDITY ")
    await account.append("INBOX", [NewMessage(b"x")])
    assert await told(client, 3) == [b"* 1 EXISTS", b"* 1 RECENT", b"* 1 FETCH (UID 2)"]
    await account.append("Trash", [NewMessage(b"x")])
    await client.send(b"DONE\r\n")
    assert await client.line() == b"i OK IDLE completed"


async def test_what_comes_while_a_command_runs_is_told_after_it(world: World) -> None:
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"x"), NewMessage(b"y")])
    client = await world.login(select="INBOX")
    await client.ok(b"NOTIFY SET (selected %b)" % MESSAGES)
    session = world.sessions()[0]
    session._busy = True  # as a command does
    await account.expunge(account.mailbox("INBOX"), [1])
    session._busy = False
    assert await client.ok(b"FETCH 1:2 UID") == [b"* 1 FETCH (UID 1)", b"* 2 FETCH (UID 2)"]
    assert await client.line() == b"* 1 EXPUNGE", "never before the reply (RFC 3501 §7.4.1)"


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


async def test_changes_of_another_pod(make: MakeWorld) -> None:
    world = await make(imap={"idle_refresh_seconds": 0.05})
    client = await world.login(select="INBOX")
    await client.ok(b"NOTIFY SET (selected %b) (personal (MessageNew MessageExpunge MailboxName))" % MESSAGES)
    elsewhere = await (await other_pod(world)).login()
    await elsewhere.ok(b"APPEND INBOX {1+}\r\nx")
    assert await told(client, 2) == [b"* 1 EXISTS", b"* 1 RECENT"]
    await elsewhere.ok(b"CREATE Work")
    assert await told(client, 1) == [b'* LIST (\\HasNoChildren) "/" Work']
    await elsewhere.ok(b"APPEND Work {1+}\r\nx")
    assert (await client.line()).startswith(b"* STATUS Work (MESSAGES 1 UIDNEXT 2 ")


async def test_no_task_while_nothing_happens(world: World) -> None:
    """As IDLE: one follower an account."""
    clients = [await world.login(select="INBOX") for _ in range(5)]
    await clients[0].ok(b"NOTIFY SET (selected %b) (personal %b)" % (FLAGS, FLAGS))
    before = len(asyncio.all_tasks())
    for client in clients[1:]:
        await client.ok(b"NOTIFY SET (selected %b) (personal %b)" % (FLAGS, FLAGS))
    await eventually(lambda: len(asyncio.all_tasks()) == before)
    assert len(world.services.followers) == 1
    for client in clients[:2]:
        await client.ok(b"NOTIFY NONE")
    await clients[2].ok(b"UNAUTHENTICATE")
    for client in clients[3:]:
        client.close()
    await eventually(lambda: not len(world.services.followers))


async def test_limits(make: MakeWorld) -> None:
    """RFC 5465 §3.1 and §5.8: too many groups, names, mailboxes, and too many messages to fetch unasked."""
    world = await make(imap={"notify_mailboxes": 4, "notify_messages": 2})
    client, account = await world.login(select="INBOX"), await world.account()
    for many in (
        b"(personal %b)" % MESSAGES,
        b" ".join([b"(personal NONE)"] * 51),
        b"(subtree (%b) NONE)" % (b"a " * 501),
    ):
        assert (await client.refused(b"NOTIFY SET " + many)).startswith(b"a NO [NOTIFICATIONOVERFLOW]")
    await client.ok(b"NOTIFY SET (selected (MessageNew (UID) MessageExpunge))")
    await account.append("INBOX", [NewMessage(b"x")] * 3)
    assert await told(client, 3) == [
        b"* 3 EXISTS", b"* 3 RECENT", b"* OK [NOTIFICATIONOVERFLOW] Too many new messages at once"
    ]  # fmt: skip
    await account.append("INBOX", [NewMessage(b"x")])
    await nothing_more(client)


async def test_with_uidonly(world: World) -> None:
    client, account = await world.login(), await world.account()
    await client.ok(b"ENABLE UIDONLY")
    await client.ok(b"SELECT INBOX")
    await client.ok(b"NOTIFY SET (selected (MessageNew (FLAGS) MessageExpunge FlagChange))")
    await account.append("INBOX", [NewMessage(b"x", frozenset(["\\Seen"]))])
    assert (await told(client, 3))[2] == b"* 1 UIDFETCH (FLAGS (\\Recent \\Seen))"
    await account.store_flags(account.mailbox("INBOX"), [1], "add", ["\\Flagged"])
    assert await told(client, 1) == [b"* 1 UIDFETCH (FLAGS (\\Flagged \\Recent \\Seen))"]
    await account.expunge(account.mailbox("INBOX"), [1])
    assert await told(client, 1) == [b"* VANISHED 1"]


async def test_compressed(world: World) -> None:
    """RFC 4978: what is told between commands is a part of the stream."""
    client, account = await world.login(select="INBOX"), await world.account()
    await client.ok(b"NOTIFY SET (selected (MessageNew (RFC822.SIZE) MessageExpunge))")
    await client.ok(b"COMPRESS DEFLATE")
    await account.append("INBOX", [NewMessage(b"x" * 1000)])
    inflate, text = zlib.decompressobj(-zlib.MAX_WBITS), b""
    async with asyncio.timeout(5):
        while b"RFC822.SIZE 1000)\r\n" not in text:
            text += inflate.decompress(await client.reader.read(4096))
    assert text.startswith(b"* 1 EXISTS\r\n* 1 RECENT\r\n* 1 FETCH (UID 1 ")


async def test_a_deleted_selected_mailbox_ends_the_connection(world: World) -> None:
    account = await world.account()
    await account.create("Work")
    client = await world.login(select="Work")
    await client.ok(b"NOTIFY SET (selected %b)" % MESSAGES)
    await account.delete("Work")
    assert (await client.line()).startswith(b"* BYE")
    assert await client.closed()


TEAM = b'"Other Users/ann@example.org/Team"'
EVENTS = b"(MessageNew MessageExpunge MailboxName MailboxMetadataChange)"


async def test_annotations_of_a_selected_mailbox_of_another(world: World) -> None:
    """RFC 5464 §4.4: what is shared, as others change it; once, where NOTIFY watches the mailbox, too."""
    ann, bob = await world.login(), await world.login("bob")
    for command in (b"CREATE Team", b"SETACL Team bob@example.org lrw", b'SETMETADATA Team (/shared/a "before")'):
        await ann.ok(command)
    await bob.ok(b"ENABLE METADATA")
    await bob.ok(b"SELECT %b" % TEAM)
    await ann.ok(b'SETMETADATA Team (/shared/comment "x" /private/comment "hers")')
    assert await bob.ok(b"NOOP") == [b"* METADATA %b /shared/comment" % TEAM]
    assert await bob.ok(b'SETMETADATA %b (/shared/b "mine")' % TEAM) == []
    await bob.send(b"i IDLE\r\n")
    assert await bob.line() == b"+ idling"
    await ann.ok(b"SETMETADATA Team (/shared/a NIL)")
    assert await bob.line() == b"* METADATA %b /shared/a" % TEAM
    await bob.send(b"DONE\r\n")
    assert (await bob.line()).startswith(b"i OK")
    await ann.ok(b"SETACL Team bob@example.org r")
    await ann.ok(b'SETMETADATA Team (/shared/c "secret")')
    assert not any(b"METADATA" in line for line in await bob.ok(b"NOOP"))
    await ann.ok(b"SETACL Team bob@example.org lr")
    assert (await bob.ok(b"NOOP"))[-1] == b"* METADATA %b /shared/c" % TEAM
    await bob.ok(b"NOTIFY SET (mailboxes %b %b)" % (TEAM, EVENTS))
    await ann.ok(b'SETMETADATA Team (/shared/d "e")')
    assert await told(bob, 1) == [b"* METADATA %b /shared/d" % TEAM]
    await nothing_more(bob)


@pytest.mark.parametrize("mailboxes", [b'subtree "Other Users"', b"mailboxes %b" % TEAM, b"subscribed"])
async def test_mailboxes_of_others(world: World, mailboxes: bytes) -> None:
    """RFC 5465 §5, §5.4: with `l` and `r`; taking `l` is a deletion, and nothing is told after it."""
    ann, bob = await world.login(), await world.login("bob")
    for command in (b"CREATE Team", b"CREATE Mine", b"SETACL Team bob@example.org lr"):
        await ann.ok(command)
    await bob.ok(b"SUBSCRIBE %b" % TEAM)
    first = await bob.ok(b"NOTIFY SET STATUS (%b %b)" % (mailboxes, EVENTS))
    assert next(line for line in first if b"Other" in line).startswith(b"* STATUS %b (MESSAGES 0 UIDNEXT 1 " % TEAM)
    await ann.ok(b"APPEND Mine {1+}\r\nx")
    await ann.ok(b"APPEND Team {1+}\r\nx")
    assert (await bob.line()).startswith(b"* STATUS %b (MESSAGES 1 UIDNEXT 2 " % TEAM)
    await ann.ok(b'SETMETADATA Team (/private/comment "mine")')
    await ann.ok(b'SETMETADATA Team (/shared/comment "ours")')
    assert await bob.line() == b"* METADATA %b /shared/comment" % TEAM
    await ann.ok(b"SETACL Team bob@example.org l")
    await ann.ok(b"APPEND Team {1+}\r\nx")
    await nothing_more(bob)
    await ann.ok(b"SETACL Team bob@example.org lr")
    assert (await bob.line()).startswith(b"* STATUS %b (MESSAGES 2 UIDNEXT 3 " % TEAM)
    await ann.ok(b"DELETEACL Team bob@example.org")
    gone = await bob.line()
    assert gone.startswith(b"* LIST (\\NonExistent ") and gone.endswith(TEAM)
    await ann.ok(b"APPEND Team {1+}\r\nx")
    await ann.ok(b"DELETE Team")
    while line := await bob.ok(b"NOOP"):
        assert not [each for each in line if b"STATUS" in each]
    await bob.ok(b"NOTIFY NONE")
    assert not world.services.registry._guests and not len(world.services.followers)


async def test_what_another_s_inbox_is_renamed_to(world: World) -> None:
    """The old name is for those who may see it."""
    ann, bob = await world.login(), await world.login("bob")
    for command in (b"CREATE Team", b"SETACL Team bob@example.org lr"):
        await ann.ok(command)
    await bob.ok(b'NOTIFY SET (subtree "Other Users/ann@example.org/Team" (MailboxName))')
    lines = []
    for command in (b"RENAME INBOX Team/one", b"SETACL INBOX bob@example.org l", b"RENAME INBOX Team/two"):
        await ann.ok(command)
        if command.startswith(b"RENAME"):
            lines += await told(bob, 2)
    ends = [line.partition(b"Team/")[2] for line in lines]
    assert ends == [b'one"', b"", b'two" ("OLDNAME" ("Other Users/ann@example.org/INBOX"))', b""]
    await nothing_more(bob)


async def test_mailboxes_of_others_that_are_subscribed_to_later(world: World) -> None:
    """RFC 5465 §6.4: by this client, or between its commands."""
    ann, bob, account = await world.login(), await world.login("bob"), await world.account("bob")
    for command in (b"CREATE Team", b"SETACL Team bob@example.org lr"):
        await ann.ok(command)
    for subscribe in (bob.ok(b"SUBSCRIBE %b" % TEAM), account.subscribe(TEAM.decode().strip('"'))):
        await bob.ok(b"UNSUBSCRIBE %b" % TEAM)
        await bob.ok(b"NOTIFY SET (subscribed %b)" % MESSAGES)
        assert not world.services.registry._guests
        await subscribe
        await eventually(lambda: len(world.services.registry._guests) == 1)
        await ann.ok(b"APPEND Team {1+}\r\nx")
        assert (await bob.line()).startswith(b"* STATUS %b (MESSAGES " % TEAM)
        await bob.ok(b"UNSUBSCRIBE %b" % TEAM)
        await ann.ok(b"APPEND Team {1+}\r\nx")
        await nothing_more(bob)
    await bob.ok(b"NOTIFY NONE")
    assert not world.services.registry._guests and not len(world.services.followers)


async def test_the_right_to_look_up_goes_and_comes_back(world: World) -> None:
    """RFC 5465 §5.9: told whatever the events; and no word of what was never to be seen."""
    ann, bob = await world.login(), await world.login("bob")
    for command in (b"CREATE Team", b"CREATE Mine", b"SETACL Team bob@example.org lr"):
        await ann.ok(command)
    await bob.ok(b'NOTIFY SET (mailboxes %b %b) (subtree "Other Users" (SubscriptionChange))' % (TEAM, MESSAGES))
    await ann.ok(b"DELETEACL Team bob@example.org")
    assert await bob.line() == b'* LIST (\\NonExistent \\HasNoChildren \\NoAccess) "/" %b' % TEAM
    await (await world.account("bob")).subscribe("Other Users/ann@example.org/Mine")
    secret = b'"Other Users/ann@example.org/Mine"'
    assert await bob.line() == b'* LIST (\\NonExistent \\HasNoChildren \\Subscribed) "/" %b' % secret
    await ann.ok(b"APPEND Team {1+}\r\nx")
    await ann.ok(b"SETACL Team bob@example.org lr")
    again = await told(bob, 2)
    assert again[0] == b'* LIST (\\HasNoChildren) "/" %b' % TEAM
    assert again[1].startswith(b"* STATUS %b (MESSAGES 1 " % TEAM)


async def test_a_mailbox_of_anothers_that_may_not_be_read(world: World) -> None:
    """RFC 5465 §3.1: \\NoAccess where it may be looked up, and not a word where it may not."""
    ann, bob = await world.login(), await world.login("bob")
    for command in (b"CREATE Team", b"CREATE Mine", b"SETACL Team bob@example.org l", b"SETACL Mine bob@example.org r"):
        await ann.ok(command)
    command = b'NOTIFY SET STATUS (subtree "Other Users" %b)' % EVENTS
    assert await bob.ok(command) == [b'* LIST (\\NoAccess) "/" %b' % TEAM]
    await ann.ok(b"APPEND Mine {1+}\r\nx")
    await ann.ok(b"APPEND Team {1+}\r\nx")
    await nothing_more(bob)
    bob.close()
    await eventually(lambda: not world.services.registry._guests and not len(world.services.followers))


async def test_of_anothers_selected_mailbox_set_is_a_noop_too(world: World) -> None:
    """RFC 5465 §3.1: as fresh as NOOP."""
    ann, bob = await (await other_pod(world)).login(), await world.login("bob")
    for command in (b"CREATE Team", b"SETACL Team bob@example.org lr"):
        await ann.ok(command)
    await bob.ok(b"SELECT %b" % TEAM)
    await ann.ok(b"APPEND Team {1+}\r\nx")
    assert (await bob.ok(b"NOTIFY SET (selected %b)" % MESSAGES))[0] == b"* 1 EXISTS"
    await ann.ok(b"DELETEACL Team bob@example.org")
    await bob.send(b"a NOTIFY SET (selected %b)\r\n" % MESSAGES)
    assert (await bob.line()).startswith(b"* BYE")


async def test_a_suspended_owner_ends_it(world: World) -> None:
    ann, bob = await world.login(), await world.login("bob")
    for command in (b"CREATE Team", b"SETACL Team bob@example.org lr"):
        await ann.ok(command)
    await bob.ok(b"NOTIFY SET (mailboxes %b %b)" % (TEAM, MESSAGES))
    entry = await world.services.directory.lookup("bob@example.org")
    assert entry is not None
    await world.publish(user("ann", suspended=True), msgspec.structs.replace(entry, version=0))
    world.services.directory.forget("ann@example.org")
    await world.services.registry.sweep()
    assert (await bob.line()).startswith(b"* BYE")


def parsed(arguments: bytes) -> NotifyArgs:
    cursor = Cursor(Frame([b" " + arguments]))
    found = notify(cursor)
    cursor.end()
    return found


def test_grammar() -> None:
    new = frozenset(("MESSAGENEW", "MESSAGEEXPUNGE"))
    assert parsed(b"none") == NotifyArgs(none=True)
    assert parsed(b"set status (Selected-Delayed (messagenew messageexpunge))") == NotifyArgs(
        SelectedEvents(new, delayed=True), status=True
    )
    assert parsed(b"SET (mailboxes (INBOX a) (MailboxName)) (subtree b NONE)") == NotifyArgs(
        groups=(
            EventGroup("MAILBOXES", ("INBOX", "a"), frozenset(("MAILBOXNAME",))),
            EventGroup("SUBTREE", ("b",), frozenset()),
        )
    )
    loose = parsed(b"SET (selected MessageNew (uid body.peek[header.fields (from)]) MessageExpunge)")
    assert loose.selected is not None and len(loose.selected.items) == 2 and loose.selected.events == new


@pytest.mark.parametrize(
    "arguments",
    [
        *(b"", b"SET", b"SET STATUS", b"SET ()", b"SET (selected)", b"SET (selected ())", b"SET (other (MailboxName))"),
        *(b"SET (selected (MessageNew))", b"SET (personal (MessageExpunge))", b"SET (personal (FlagChange))"),
        *(b"SET (selected (MailboxName))", b"SET (subtree (MailboxName))", b"NONE x", b"SET (personal (MailboxName)) "),
        b"SET (selected (MessageNew MessageExpunge)) (selected-delayed NONE)",
        b"SET (personal (MessageNew (UID) MessageExpunge))",
        b"SET (selected (MessageNew () MessageExpunge))",
    ],
)
def test_what_is_bad(arguments: bytes) -> None:
    with pytest.raises(BadCommand):
        parsed(arguments + b"x" if arguments.endswith(b" ") else arguments)


async def test_unsupported_events(world: World) -> None:
    """RFC 5465 §3.1: NO and not BAD, with all that are supported."""
    client = await world.login()
    for event in (b"AnnotationChange", b"Lunch"):
        reply = await client.refused(b"NOTIFY SET (personal (MailboxName %b))" % event)
        assert reply.startswith(
            b"a NO [BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange"
            b" MailboxMetadataChange ServerMetadataChange)]"
        )


_FILTERS = st.sampled_from(("INBOXES", "PERSONAL", "SUBSCRIBED"))
_NAME = st.text("ab/é ", min_size=1).filter(lambda name: not name.endswith("/"))
_NAMED = st.tuples(st.sampled_from(("SUBTREE", "SUBTREE-ONE", "MAILBOXES")), st.lists(_NAME, min_size=1, max_size=3))
_GROUP = st.tuples(
    st.one_of(_FILTERS.map(lambda kind: (kind, [])), _NAMED),
    st.sets(st.sampled_from(("MAILBOXNAME", "SUBSCRIPTIONCHANGE", "MAILBOXMETADATACHANGE", "SERVERMETADATACHANGE"))),
    st.booleans(),
)


@given(st.lists(_GROUP, min_size=1, max_size=4), st.booleans())
def test_what_is_written_is_what_is_parsed(
    groups: list[tuple[tuple[str, list[str]], set[str], bool]], status: bool
) -> None:
    wanted, words = [], [b"SET", *([b"STATUS"] if status else [])]
    for (kind, mailboxes), events, messages in groups:
        chosen = [*events, *(("MessageNew", "MESSAGEEXPUNGE") if messages else ())]
        quoted = b" (%b)" % b" ".join(map(wire.mailbox, mailboxes)) if mailboxes else b""
        listed = b"(%b)" % " ".join(chosen).encode() if chosen else b"NONE"
        words.append(b"(%b%b %b)" % (kind.lower().encode(), quoted, listed))
        wanted.append(EventGroup(kind, tuple(mailboxes), frozenset(map(str.upper, chosen))))
    assert parsed(b" ".join(words)) == NotifyArgs(None, tuple(wanted), status)


@given(
    st.lists(
        st.sampled_from(b"SET NONE ( ) selected MessageNew MessageExpunge (UID) STATUS mailboxes a FlagChange".split())
    )
)
def test_any_words(words: list[bytes]) -> None:
    try:
        parsed(b" ".join(words))
    except (BadCommand, BadEvent, TooMuch):
        return


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
