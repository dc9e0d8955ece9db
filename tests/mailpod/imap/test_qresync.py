"""QRESYNC: RFC 7162 §3.2."""

from __future__ import annotations

from tests.mailpod.imap.dialogue import Client, MakeWorld, World
from tests.mailpod.imap.selected import desk, letter

from mailpod.imap.resync import uid_ranges, vanished
from mailpod.imap.sets import gaps
from mailpod.imap.syntax import SequenceSet
from mailpod.store import Account, NewMessage


async def ten(world: World) -> Account:
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"%d" % n) for n in range(10)])
    account.mailbox("INBOX").claim_recent()
    return account


async def enabled(world: World, select: bytes = b"") -> Client:
    client = await world.login()
    assert await client.ok(b"ENABLE QRESYNC X") == [b"* ENABLED QRESYNC"]
    if select:
        await client.ok(b"SELECT %b" % select)
    return client


async def test_select_tells_what_changed(world: World) -> None:
    account = await ten(world)
    inbox, known = account.mailbox("INBOX"), account.head
    await account.expunge(inbox, [2, 3, 7])
    await account.store_flags(inbox, [5], "add", ["\\Seen"])
    client = await enabled(world)
    answer = await client.ok(b"SELECT INBOX (QRESYNC (%d %d))" % (inbox.uidvalidity, known))
    assert answer[-3:] == [
        b"* OK [HIGHESTMODSEQ %d] Highest" % account.head,
        b"* VANISHED (EARLIER) 2:3,7",
        b"* 3 FETCH (UID 5 FLAGS (\\Seen) MODSEQ (%d))" % account.head,
    ]
    answer = await client.ok(b"SELECT INBOX (QRESYNC (%d %d 1:4,7))" % (inbox.uidvalidity, known))
    assert answer[0] == b"* OK [CLOSED] Previous mailbox is closed"
    assert answer[-1] == b"* VANISHED (EARLIER) 2:3,7", "of what the client knows only"
    answer = await client.ok(b"EXAMINE INBOX (QRESYNC (%d %d) CONDSTORE)" % (inbox.uidvalidity, account.head))
    assert b"HIGHESTMODSEQ" in answer[-1], "nothing changed"
    answer = await client.ok(b"SELECT INBOX (QRESYNC (%d 1))" % (inbox.uidvalidity + 1))
    assert b"HIGHESTMODSEQ" in answer[-1], "another UIDVALIDITY"


async def test_what_is_no_longer_remembered(make: MakeWorld) -> None:
    world = await make(store={"change_log": 1})
    account = await ten(world)
    inbox, known = account.mailbox("INBOX"), account.head
    for uid in (2, 3, 7, 10):
        await account.expunge(inbox, [uid])
    client, validity = await enabled(world), inbox.uidvalidity
    assert inbox.changes_since(known) is None

    async def last(parameters: bytes) -> bytes:
        return (await client.ok(b"SELECT INBOX (QRESYNC (%d %d%b))" % (validity, known, parameters)))[-1]

    assert await last(b"") == b"* VANISHED (EARLIER) 2:3,7,10"
    assert await last(b" 1:2,6:9") == b"* VANISHED (EARLIER) 2,7"
    # RFC 7162 §3.2.5.2: message 4 is UID 6 still, so that nothing below it went unknown to the client
    assert await last(b" 1:10 (1,4 1,6)") == b"* VANISHED (EARLIER) 7,10"
    assert await last(b" (1,4,5 1,6,7)") == b"* VANISHED (EARLIER) 7,10"
    assert await last(b" 1:10 (2 2)") == b"* VANISHED (EARLIER) 2:3,7,10"


async def test_only_once_enabled(world: World) -> None:
    client = await world.login()
    assert await client.refused(b"SELECT INBOX (QRESYNC (1 1))") == b"a BAD QRESYNC is not enabled"
    for wrong in (b"FOO", b"QRESYNC 1", b"QRESYNC (1)", b"QRESYNC (1 1 1:*)", b"QRESYNC (1 1 (1 1) 1:2)", b""):
        assert (await client.refused(b"SELECT INBOX (%b)" % wrong)).startswith(b"a BAD")


async def test_vanished_in_place_of_expunge(world: World) -> None:
    account = await ten(world)
    inbox = account.mailbox("INBOX")
    client, old = await enabled(world, b"INBOX"), await world.login(select="INBOX")
    known = account.head
    await account.expunge(inbox, [2, 3, 7])
    assert await client.ok(b"FETCH 1 UID") == [b"* 1 FETCH (UID 1)", b"* OK [HIGHESTMODSEQ %d] Highest" % known], (
        "not during FETCH, and RFC 7162 §6 says so"
    )
    assert await client.ok(b"NOOP") == [b"* VANISHED 2:3,7", b"* OK [HIGHESTMODSEQ %d] Highest" % account.head], (
        "as in the example there"
    )
    assert await old.ok(b"NOOP") == [b"* 2 EXPUNGE", b"* 2 EXPUNGE", b"* 5 EXPUNGE"]
    await account.store_flags(inbox, [4, 5], "add", ["\\Deleted"])
    head = account.head
    assert await client.ok(b"NOOP") == [
        b"* 2 FETCH (UID 4 FLAGS (\\Deleted) MODSEQ (%d))" % head,
        b"* 3 FETCH (UID 5 FLAGS (\\Deleted) MODSEQ (%d))" % head,
    ], "RFC 7162 §3.2.4: with UID and MODSEQ"
    assert await client.ask(b"UID EXPUNGE 5") == [
        b"* VANISHED 5",
        b"a OK [HIGHESTMODSEQ %d] UID EXPUNGE completed" % (head + 1),
    ]
    assert await client.ask(b"EXPUNGE") == [
        b"* VANISHED 4",
        b"a OK [HIGHESTMODSEQ %d] EXPUNGE completed" % (head + 2),
    ]
    assert await client.ask(b"EXPUNGE") == [b"a OK EXPUNGE completed"]
    answer = await client.ask(b"MOVE 1 Trash")
    assert answer[0].startswith(b"* OK [COPYUID")
    assert answer[1:] == [b"* VANISHED 1", b"a OK [HIGHESTMODSEQ %d] Done" % (head + 3)]


async def test_uid_fetch_vanished(world: World) -> None:
    account = await ten(world)
    inbox = account.mailbox("INBOX")
    await account.expunge(inbox, [2])
    known = account.head
    await account.expunge(inbox, [3, 4])
    client = await enabled(world, b"INBOX")
    await account.store_flags(inbox, [8], "add", ["\\Seen"])
    await account.expunge(inbox, [9, 10])
    head = account.head
    assert await client.ok(b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)" % known) == [
        b"* VANISHED (EARLIER) 3:4",
        b"* 5 FETCH (UID 8 FLAGS (\\Seen) MODSEQ (%d))" % (head - 1),
        b"* VANISHED 9:10",
    ], "RFC 7162 §3.2.10.1: what the session knows goes without EARLIER"
    assert await client.ok(b"UID FETCH 4:9 (FLAGS) (CHANGEDSINCE %d VANISHED)" % known) == [
        b"* VANISHED (EARLIER) 4,9",
        b"* 5 FETCH (UID 8 FLAGS (\\Seen) MODSEQ (%d))" % (head - 1),
    ]
    assert (await client.refused(b"FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)")).startswith(b"a BAD")


async def test_superset_in_a_view_that_is_behind() -> None:
    """A message that came after what the session was told, and is there, is never said to have gone."""
    async with desk(change_log=0) as at:
        await at.deliver(*[letter(str(n)) for n in range(6)])
        ann = at.select()
        inbox = ann.view.mailbox
        await at.account.expunge(inbox, [2])
        assert ann.view.poll(False) == [], "held back: the view has UIDs of its own"
        await at.deliver(letter("new"))
        await at.account.expunge(inbox, [4])
        everything = uid_ranges(SequenceSet(((1, None),)), ann.view)
        assert vanished(ann.view, 1, everything) == b""
        ann.view.poll(True)
        assert vanished(ann.view, 1, everything) == b"* VANISHED (EARLIER) 2,4\r\n"


def test_gaps() -> None:
    assert gaps([1, 2, 3], range(1, 4)) == []
    assert gaps([], range(1, 4)) == [range(1, 4)]
    assert gaps([2, 3, 7, 20], range(1, 10)) == [range(1, 2), range(4, 7), range(8, 10)]


async def test_no_modseq_is_told_ahead_of_an_expunge_that_is_owed(world: World) -> None:
    account = await ten(world)
    inbox = account.mailbox("INBOX")
    client = await enabled(world, b"INBOX")
    known = account.head
    await account.expunge(inbox, [2])
    await account.store_flags(inbox, [5], "add", ["\\Seen"])
    assert await client.ok(b"FETCH 1 UID") == [b"* 1 FETCH (UID 1)", b"* OK [HIGHESTMODSEQ %d] Highest" % known]
    assert await client.ok(b"NOOP") == [
        b"* VANISHED 2",
        b"* 4 FETCH (UID 5 FLAGS (\\Seen) MODSEQ (%d))" % account.head,
        b"* OK [HIGHESTMODSEQ %d] Highest" % account.head,
    ]


async def test_while_idle(world: World) -> None:
    account = await ten(world)
    client = await enabled(world, b"INBOX")
    await client.send(b"i IDLE\r\n")
    assert await client.line() == b"+ idling"
    await account.expunge(account.mailbox("INBOX"), [2, 4])
    assert await client.line() == b"* VANISHED 2,4"
    await account.store_flags(account.mailbox("INBOX"), [5], "add", ["\\Seen"])
    assert await client.line() == b"* 3 FETCH (UID 5 FLAGS (\\Seen) MODSEQ (%d))" % account.head
    await client.send(b"DONE\r\n")
    assert await client.line() == b"i OK IDLE completed"
