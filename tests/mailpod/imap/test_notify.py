"""NOTIFY, of the selected mailbox, and as a command (RFC 5465): when it is told, and when not."""

from __future__ import annotations

import asyncio
import zlib

import pytest
from tests.mailpod.imap.dialogue import MakeWorld, World, eventually, other_pod
from tests.mailpod.imap.telling import FLAGS, MESSAGES, nothing_more, told

from mailpod.store import NewMessage


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
