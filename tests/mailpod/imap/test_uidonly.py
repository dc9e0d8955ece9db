"""UIDONLY: RFC 9586."""

from __future__ import annotations

import pytest
from tests.mailpod.imap.dialogue import Client, World

from mailpod.store import NewMessage


@pytest.fixture
async def client(world: World) -> Client:
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"A: %d\r\n\r\nbody" % n) for n in range(5)])
    account.mailbox("INBOX").claim_recent()
    await account.expunge(account.mailbox("INBOX"), [1])
    client = await world.login()
    assert await client.ok(b"ENABLE UIDONLY") == [b"* ENABLED UIDONLY"]
    answer = await client.ok(b"SELECT INBOX")
    assert b"* 4 EXISTS" in answer
    assert not any(b"[UNSEEN" in line for line in answer), "it would be a message number"
    return client


async def test_message_numbers_are_refused(client: Client) -> None:
    for command in (
        b"FETCH 1 FLAGS",
        b"STORE 1 +FLAGS (x)",
        b"COPY 1 Sent",
        b"MOVE 1 Sent",
        b"SEARCH ALL",
        b"SORT (ARRIVAL) UTF-8 ALL",
        b"THREAD REFERENCES UTF-8 ALL",
        b"UID SEARCH 1:2",
        b"UID SEARCH OR UID 3 NOT (1)",
        b"UID SEARCH OR ALL 1",
        b"UID SEARCH RETURN (UPDATE) NOT ALL *",
        b"UID SORT (ARRIVAL) UTF-8 NOT ALL 1",
        b"UID THREAD REFERENCES UTF-8 NOT ALL 1",
        b"ESEARCH IN (selected) NOT ALL 1",
    ):
        assert (await client.refused(command)).startswith(b"a BAD [UIDREQUIRED]"), command
    await client.ok(b"UID SEARCH RETURN (SAVE) UID 3")
    assert (await client.refused(b"UID SEARCH RETURN (SAVE) 1")).startswith(b"a BAD [UIDREQUIRED]")
    assert await client.ok(b"UID SEARCH $") == [b"* SEARCH 3"], "RFC 5182 §2.1: a BAD leaves it"
    await client.ok(b"SELECT Sent")
    assert (await client.refused(b"UID SEARCH 1")).startswith(b"a BAD [UIDREQUIRED]"), "in an empty mailbox, too"
    await client.ok(b"UNSELECT")
    await client.ok(b"ENABLE QRESYNC")
    assert (await client.refused(b"SELECT INBOX (QRESYNC (1 1 (1 2)))")).startswith(b"a BAD [UIDREQUIRED]")


async def test_responses_name_uids(client: Client, world: World) -> None:
    account = await world.account()
    inbox = account.mailbox("INBOX")
    assert await client.ok(b"UID FETCH 2:3 FLAGS") == [b"* 2 UIDFETCH (FLAGS ())", b"* 3 UIDFETCH (FLAGS ())"]
    assert await client.ok(b"UID FETCH 2 UID") == [b"* 2 UIDFETCH (UID 2)"]
    assert await client.ok(b"UID FETCH 3:4 (RFC822.SIZE)") == [
        b"* 3 UIDFETCH (RFC822.SIZE 12)",
        b"* 4 UIDFETCH (RFC822.SIZE 12)",
    ]
    assert await client.ok(b"UID FETCH 3 BODY[TEXT]") == [b"* 3 UIDFETCH (FLAGS (\\Seen) BODY[TEXT] {4}\r\nbody)"]
    assert await client.ok(b"UID STORE 4 +FLAGS (\\Flagged)") == [b"* 4 UIDFETCH (FLAGS (\\Flagged))"]
    await account.store_flags(inbox, [5], "add", ["\\Seen"])
    await account.expunge(inbox, [2, 3])
    assert await client.ok(b"NOOP") == [b"* VANISHED 2:3", b"* 5 UIDFETCH (FLAGS (\\Seen))"]
    assert await client.ok(b"UID SEARCH RETURN (ALL SAVE) UID 4:*") == [b'* ESEARCH (TAG "a") UID ALL 4:5']
    assert await client.ok(b"UID FETCH $ (FLAGS)") == [
        b"* 4 UIDFETCH (FLAGS (\\Flagged))",
        b"* 5 UIDFETCH (FLAGS (\\Seen))",
    ]
    await client.ok(b"UID STORE 4 +FLAGS.SILENT (\\Deleted)")
    assert await client.ok(b"EXPUNGE") == [b"* VANISHED 4"]


async def test_with_condstore(client: Client, world: World) -> None:
    account = await world.account()
    await client.ok(b"UID STORE 3 (UNCHANGEDSINCE 0) +FLAGS.SILENT (x)")
    assert await client.ok(b"UID STORE 3 +FLAGS.SILENT (\\Seen)") == [b"* 3 UIDFETCH (MODSEQ (%d))" % account.head]
    assert await client.ok(b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d)" % (account.head - 1)) == [
        b"* 3 UIDFETCH (FLAGS (\\Seen) MODSEQ (%d))" % account.head
    ]
