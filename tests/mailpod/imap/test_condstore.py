"""CONDSTORE: RFC 7162 §3.1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.mailpod.imap.dialogue import World
from tests.mailpod.imap.selected import Client, Desk, desk, letter

from mailpod.imap.enabled import Enabled
from mailpod.store import Mailbox, NewMessage


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk() as found:
        for subject in ("a", "b", "c"):
            await found.deliver(letter(subject))
        found.account.mailbox("INBOX").claim_recent()
        yield found


def aware(at: Desk) -> Client:
    """A client that enabled CONDSTORE before it selected."""
    return at.select(enabled=Enabled(condstore=True))


def modseqs(at: Desk) -> list[int]:
    return list(at.account.mailbox("INBOX").modseqs)


async def test_fetch_modseq_enables_and_from_then_on_it_comes_with_flags(at: Desk) -> None:
    ann = at.select()
    one, two, three = modseqs(at)
    await at.account.store_flags(ann.view.mailbox, [3], "add", ["\\Seen"])
    assert await ann.say("NOOP") == b"* 3 FETCH (FLAGS (\\Seen))\r\nOK NOOP completed\r\n"
    assert await ann.say("FETCH 1:2 (MODSEQ)") == (
        b"* 1 FETCH (MODSEQ (%d))\r\n* 2 FETCH (MODSEQ (%d))\r\n"
        b"* OK [HIGHESTMODSEQ %d] Highest\r\nOK FETCH completed\r\n" % (one, two, at.account.head)
    ), "RFC 7162 §3.1: the first command that enables it tells HIGHESTMODSEQ"
    assert b"HIGHESTMODSEQ" not in await ann.say("FETCH 1:2 (MODSEQ)")
    await at.account.store_flags(ann.view.mailbox, [3], "add", ["\\Flagged"])
    head = at.account.head
    assert await ann.say("NOOP") == (
        b"* 3 FETCH (UID 3 FLAGS (\\Flagged \\Seen) MODSEQ (%d))\r\nOK NOOP completed\r\n" % head
    ), "RFC 7162 §3.2.4: with the UID"
    assert await ann.say("UID FETCH 3 (FLAGS MODSEQ RFC822.SIZE)") == (
        b"* 3 FETCH (UID 3 FLAGS (\\Flagged \\Seen) MODSEQ (%d) RFC822.SIZE %d)\r\nOK UID FETCH completed\r\n"
        % (head, len(letter("c")))
    )
    assert head > three


@pytest.mark.parametrize("items", ["BODY[TEXT]", "(FLAGS BODY[TEXT])"])
@pytest.mark.parametrize(("extension", "uid"), [("CONDSTORE", b""), ("QRESYNC", b"UID 1 ")])
async def test_seen_by_reading_tells_its_modseq(at: Desk, items: str, extension: str, uid: bytes) -> None:
    """RFC 7162 §3.2.4; with CONDSTORE alone no UID is added, as elsewhere: imapclient's tests compare the items."""
    ann = at.select()
    await ann.say("FETCH 1 MODSEQ")
    ann.enabled.enable(extension)
    assert await ann.say(f"FETCH 1 {items}") == (
        b"* 1 FETCH (%bFLAGS (\\Seen) MODSEQ (%d) BODY[TEXT] {10}\r\nHi there\r\n)\r\nOK FETCH completed\r\n"
        % (uid, at.account.head)
    )


@pytest.mark.parametrize(
    "command",
    [
        "FETCH 1 (FLAGS) (CHANGEDSINCE 1)",
        "STORE 1 (UNCHANGEDSINCE 1000) +FLAGS.SILENT (x)",
        "SEARCH MODSEQ 1",
        "SORT (SIZE) UTF-8 MODSEQ 1",
        "UID SEARCH RETURN (COUNT) MODSEQ 1",
    ],
)
async def test_what_enables_it_tells_highestmodseq(at: Desk, command: str) -> None:
    answer = await at.select().say(command)
    assert answer.count(b"* OK [HIGHESTMODSEQ %d] Highest\r\nOK " % at.account.head) == 1, "RFC 7162 §3.1"


async def test_highestmodseq_is_not_told_before_what_led_up_to_it(at: Desk) -> None:
    """RFC 7162 §6: a client takes the highest MODSEQ that it was told for all that it knows, unless told better."""
    ann = at.select()
    known = at.account.head
    await at.account.expunge(ann.view.mailbox, [1])
    await at.account.store_flags(ann.view.mailbox, [2], "add", ["\\Seen"])
    answer = await ann.say("FETCH 2 (FLAGS MODSEQ)")
    assert answer == (
        b"* 2 FETCH (FLAGS (\\Seen) MODSEQ (%d))\r\n* OK [HIGHESTMODSEQ %d] Highest\r\nOK FETCH completed\r\n"
        % (at.account.head, known)
    ), "the EXPUNGE has to wait"
    highest = b"* OK [HIGHESTMODSEQ %d] Highest\r\n" % at.account.head
    assert await ann.say("NOOP") == b"* 1 EXPUNGE\r\n" + highest + b"OK NOOP completed\r\n"


@pytest.mark.parametrize("silent", ["", ".SILENT"])
async def test_a_store_by_numbers_tells_uids(at: Desk, silent: str) -> None:
    """RFC 7162 §3.2.4; what a FETCH answers has no more than it asked for."""
    ann = aware(at)
    answer = await ann.say(f"STORE 2:3 +FLAGS{silent} (\\Seen)")
    flags, head = b"" if silent else b" FLAGS (\\Seen)", at.account.head
    told = b"".join(b"* %d FETCH (UID %d%b MODSEQ (%d))\r\n" % (uid, uid, flags, head) for uid in (2, 3))
    assert answer == told + b"OK STORE completed\r\n"
    assert await ann.say("FETCH 2 FLAGS") == b"* 2 FETCH (FLAGS (\\Seen))\r\nOK FETCH completed\r\n"


async def test_changedsince(at: Desk) -> None:
    ann = aware(at)
    before = at.account.head
    await at.account.store_flags(ann.view.mailbox, [2], "add", ["\\Seen"])
    changed = b"* 2 FETCH (FLAGS (\\Seen) MODSEQ (%d))\r\n" % at.account.head
    assert await ann.say(f"FETCH 1:* (FLAGS) (CHANGEDSINCE {before})") == changed + b"OK FETCH completed\r\n"
    assert await ann.say(f"FETCH 1,3 (FLAGS) (CHANGEDSINCE {before})") == b"OK FETCH completed\r\n"
    assert await ann.say(f"UID FETCH 1:* UID (CHANGEDSINCE {before})") == (
        b"* 2 FETCH (UID 2 MODSEQ (%d))\r\nOK UID FETCH completed\r\n" % at.account.head
    )
    await at.deliver(letter("d"))
    answer = await ann.say(f"FETCH 1:* (FLAGS) (CHANGEDSINCE {at.account.head - 1})")
    assert answer.startswith(b"* 4 EXISTS"), "what it does not know of it is told first"
    assert (await ann.say(f"FETCH 1:* (UID) (CHANGEDSINCE {at.account.head - 1})")).startswith(b"* 4 FETCH (UID 4")


@pytest.mark.parametrize("remembered", [0, 50_000])
async def test_changedsince_without_memory(remembered: int) -> None:
    async with desk(change_log=remembered) as at:
        await at.deliver(*[letter(str(n)) for n in range(6)])
        ann = aware(at)
        inbox, since = ann.view.mailbox, at.account.head
        for uid in (5, 1, 2):
            await at.account.store_flags(inbox, [uid], "add", ["\\Flagged"])
        await at.account.expunge(inbox, [2])
        await at.deliver(letter("new"))
        await ann.say("NOOP")
        assert list(inbox.modified_since(since)) == [1, 5, 7]
        answer = await ann.say(f"UID FETCH 1:* (UID) (CHANGEDSINCE {since})")
        assert [line.split()[4] for line in answer.split(b"\r\n")[:-2]] == [b"1", b"5", b"7"]


async def test_unchangedsince(at: Desk) -> None:
    ann = aware(at)
    before = at.account.head
    await at.account.store_flags(ann.view.mailbox, [2], "add", ["\\Flagged"])
    answer = await ann.say(f"STORE 1:3 (UNCHANGEDSINCE {before}) +FLAGS.SILENT (\\Seen)")
    head = at.account.head
    assert answer == (
        b"* 1 FETCH (UID 1 MODSEQ (%d))\r\n* 3 FETCH (UID 3 MODSEQ (%d))\r\n"
        b"* 2 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ (%d))\r\n"
        b"OK [MODIFIED 2] Conditional STORE failed for some messages\r\n" % (head, head, head - 1)
    )
    assert at.flags(2) == {"\\Flagged"}
    assert await ann.say(f"UID STORE 1:2 (UNCHANGEDSINCE {before}) FLAGS ()") == (
        b"OK [MODIFIED 1:2] Conditional STORE failed for some messages\r\n"
    )
    assert await ann.say(f"UID STORE 2 (UNCHANGEDSINCE {head}) FLAGS ()") == (
        b"* 2 FETCH (UID 2 FLAGS () MODSEQ (%d))\r\nOK UID STORE completed\r\n" % (head + 1)
    )


async def test_unchangedsince_zero_never_holds(at: Desk) -> None:
    assert await aware(at).say("STORE 1:2 (UNCHANGEDSINCE 0) +FLAGS (\\Seen)") == (
        b"OK [MODIFIED 1:2] Conditional STORE failed for some messages\r\n"
    )


async def test_a_conditional_store_of_what_is_gone(at: Desk) -> None:
    """RFC 7162 §3.1.3, example: NO with MODIFIED where some changed and some are gone."""
    ann = at.select()
    before = at.account.head
    await at.account.expunge(ann.view.mailbox, [1])
    await at.account.store_flags(ann.view.mailbox, [2], "add", ["\\Flagged"])
    answer = await ann.say(f"STORE 1:3 (UNCHANGEDSINCE {before}) +FLAGS (\\Seen)")
    assert answer.startswith(b"* 3 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (")
    assert answer.endswith(b"NO [MODIFIED 2] Some of the messages no longer exist: they have been deleted\r\n")


async def test_of_two_pods_one_wins(at: Desk) -> None:
    other = await at.other_pod()
    ann, bob = at.select(), other.select()
    before = at.account.head
    store = f"STORE 1 (UNCHANGEDSINCE {before}) +FLAGS.SILENT "
    answers = await asyncio.gather(ann.say(store + "(one)"), bob.say(store + "(two)"))
    assert sorted(b"MODIFIED 1]" in answer for answer in answers) == [False, True]
    await at.account.refresh()
    assert len(at.flags(1)) == 1
    await other.close()


async def test_two_sessions_of_one_pod_in_one_instant(at: Desk) -> None:
    ann, bob = at.select(), at.select()
    store = f"STORE 1 (UNCHANGEDSINCE {at.account.head}) +FLAGS.SILENT "
    answers = await asyncio.gather(ann.say(store + "(one)"), bob.say(store + "(two)"))
    assert sorted(b"MODIFIED 1]" in answer for answer in answers) == [False, True]


async def test_search_modseq(at: Desk) -> None:
    ann = aware(at)
    one, two, three = modseqs(at)
    assert await ann.say(f"SEARCH MODSEQ {two}") == b"* SEARCH 2 3 (MODSEQ %d)\r\nOK SEARCH completed\r\n" % three
    assert await ann.say(f'SEARCH MODSEQ "/Flags/recently" shared {three}') == (
        b"* SEARCH 3 (MODSEQ %d)\r\nOK SEARCH completed\r\n" % three
    )
    entry = '"/flags/\\\\draft" all'
    assert await ann.say(f"UID SEARCH OR (MODSEQ {entry} {three + 1}) UID 1") == (
        b"* SEARCH 1 (MODSEQ %d)\r\nOK UID SEARCH completed\r\n" % one
    )
    assert await ann.say(f"SORT (REVERSE SUBJECT) UTF-8 MODSEQ {two}") == (
        b"* SORT 3 2 (MODSEQ %d)\r\nOK SORT completed\r\n" % three
    ), "RFC 7162 §3.1.9"
    assert await ann.say(f"SEARCH MODSEQ {three + 1}") == b"* SEARCH\r\nOK SEARCH completed\r\n"
    assert ann.view.enabled.condstore


async def test_what_is_no_modifier(at: Desk) -> None:
    ann = at.select()
    for wrong in (
        "STORE 1 (FOO 1) FLAGS ()",
        "STORE 1 (UNCHANGEDSINCE 9223372036854775808) FLAGS ()",
        "FETCH 1 FLAGS (CHANGEDSINCE)",
        "FETCH 1 FLAGS (VANISHED)",
        "FETCH 1 FLAGS ()",
        "UID FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)",
        'SEARCH MODSEQ "/flags/x" 1',
        'SEARCH MODSEQ "/flags/\\\\Recent" all 1',  # RFC 7162 §7: attr-flag does not include it
        'SEARCH MODSEQ "/flags/" all 1',
        'SEARCH MODSEQ "/message/x" all 1',
    ):
        assert (await ann.say(wrong)).startswith(b"BAD "), wrong


async def enables(world: World, command: bytes) -> bool:
    """Whether after `command` the session hears MODSEQ with a change of flags."""
    account = await world.account()
    (uid,) = (await account.append("INBOX", [NewMessage(b"a")])).uids
    client = await world.login()
    await client.ok(command)
    if b"INBOX" not in command:
        await client.ok(b"SELECT INBOX")
    await account.store_flags(account.mailbox("INBOX"), [uid], "add", ["\\Seen"])
    return any(b" MODSEQ (" in line for line in await client.ok(b"NOOP"))


async def test_what_enables_it(world: World) -> None:
    for command in (
        b"ENABLE CONDSTORE",
        b"ENABLE QRESYNC",
        b"SELECT INBOX (CONDSTORE)",
        b"EXAMINE INBOX (CONDSTORE)",
        b"STATUS Sent (HIGHESTMODSEQ)",
    ):
        assert await enables(world, command), command
    assert not await enables(world, b"STATUS Sent (MESSAGES)")


async def test_status_and_select_say_the_same(world: World) -> None:
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"a")])
    await account.append("Sent", [NewMessage(b"a")])
    highest = account.mailbox("INBOX").highest_modseq
    assert highest == account.head - 1
    client = await world.login()
    assert await client.ok(b"STATUS INBOX (HIGHESTMODSEQ)") == [b"* STATUS INBOX (HIGHESTMODSEQ %d)" % highest]
    assert b"* OK [HIGHESTMODSEQ %d] Highest" % highest in await client.ok(b"SELECT INBOX")
    await account.store_flags(account.mailbox("INBOX"), [1], "add", ["\\Seen"])
    assert await client.ok(b"STATUS INBOX (HIGHESTMODSEQ)") == [
        b"* 1 FETCH (UID 1 FLAGS (\\Recent \\Seen) MODSEQ (%d))" % account.head,
        b"* STATUS INBOX (HIGHESTMODSEQ %d)" % account.head,
    ], "told after the change that it counts"


async def test_a_change_of_flags_while_the_store_is_on_its_way(at: Desk) -> None:
    """What failed is told as it is, even if it is just what the client wanted to make of it."""
    ann, others = at.select(), at.account.store_flags
    before = at.account.head

    async def race(mailbox: Mailbox, uids: list[int], mode: str, flags: list[str], **condition: int) -> list[int]:
        await others(mailbox, [1], "add", ["\\Seen"])
        return await others(mailbox, uids, "add", flags, **condition)

    at.account.store_flags = race  # type: ignore[method-assign, assignment]
    answer = await ann.say(f"STORE 1 (UNCHANGEDSINCE {before}) +FLAGS.SILENT (\\Seen)")
    assert answer.startswith(b"* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (")
    assert b"OK [MODIFIED 1]" in answer


async def test_what_went_is_told_as_it_was_told_last(at: Desk) -> None:
    """RFC 3501 §7.4.1: FETCH still answers of messages whose EXPUNGE is held back; no MODSEQ falls meanwhile."""
    ann, inbox = aware(at), at.account.mailbox("INBOX")
    await at.account.expunge(inbox, [1])
    await ann.say("FETCH 1 (MODSEQ)")
    await at.account.store_flags(inbox, [2], "add", ["\\Flagged"])
    await at.deliver(letter("d"))
    last = b"* 2 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ (%d))" % inbox.modseqs[0]
    assert last in await ann.say("FETCH 2 (UID FLAGS MODSEQ)")
    await at.account.store_flags(inbox, [4], "add", ["\\Seen"])
    new = b"* 4 FETCH (UID 4 FLAGS (\\Recent \\Seen) MODSEQ (%d))" % inbox.modseqs[2]
    assert new in await ann.say("FETCH 4 (UID FLAGS MODSEQ)")
    await at.account.expunge(inbox, [2, 4])
    told = await ann.say("FETCH 1:4 (UID FLAGS MODSEQ)")
    assert last in told
    assert new in told
    assert b"* 1 EXPUNGE\r\n* 1 EXPUNGE\r\n* 2 EXPUNGE\r\n" in await ann.say("NOOP")
