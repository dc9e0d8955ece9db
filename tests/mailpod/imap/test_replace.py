"""REPLACE and UID REPLACE: RFC 8508."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.mailpod.imap.dialogue import World
from tests.mailpod.imap.selected import Desk, desk, letter

from mailpod.imap.enabled import Enabled


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk() as found:
        await found.deliver(letter("a"), letter("b"), letter("c"), flags=("\\Seen",), date=1_000_000_000)
        found.account.mailbox("INBOX").claim_recent()
        yield found


async def test_one_comes_and_one_goes_in_one_commit(at: Desk) -> None:
    ann, bob, inbox = at.select(), at.select(), at.account.mailbox("INBOX")
    head = at.account.head
    answer = await ann.say("REPLACE 2 INBOX (\\Seen \\Draft)", letter("new"))
    assert answer == (
        b"* OK [APPENDUID %d 4] Replacement Message ready\r\n* 4 EXISTS\r\n* 2 EXPUNGE\r\n* 1 RECENT\r\nOK Replaced\r\n"
        % inbox.uidvalidity
    ), "RFC 8508 §3.2, §4.3"
    assert at.account.head == head + 1, "never both, never neither"
    assert list(inbox.uids) == [1, 3, 4]
    assert b"FLAGS (\\Draft \\Recent \\Seen)" in (seen := await ann.say("FETCH 3 (FLAGS BODY.PEEK[])"))
    assert letter("new") in seen
    assert b"* 2 EXPUNGE\r\n* 3 EXISTS\r\n" in await bob.say("NOOP")


async def test_into_another_mailbox_by_uid(at: Desk) -> None:
    ann, drafts = at.select(), at.account.mailbox("Drafts")
    answer = await ann.say('UID REPLACE 3 Drafts "07-Feb-1994 21:52:25 -0800"', letter("new"))
    assert answer.startswith(b"* OK [APPENDUID %d 1] " % drafts.uidvalidity)
    assert b"* 3 EXPUNGE\r\n" in answer
    assert (drafts.exists, at.account.mailbox("INBOX").exists) == (1, 2)


async def test_the_last_one(at: Desk) -> None:
    assert b"* 3 EXPUNGE\r\n" in await at.select().say("REPLACE * INBOX", letter("new"))


async def test_after_a_refusal_the_old_one_is_there(at: Desk) -> None:
    ann, head = at.select(messages=3, bytes=400), at.account.head
    assert (await ann.say("REPLACE 1 Nowhere", letter())).startswith(b"NO [TRYCREATE] ")
    assert (await ann.say("REPLACE 1 INBOX", b"x" * 2000)).startswith(b"NO [OVERQUOTA] ")
    assert (await ann.say("REPLACE 1 INBOX", b"")).startswith(b"NO [CANNOT] ")
    assert (await ann.say("REPLACE 4 INBOX", letter())).startswith(b"BAD ")
    assert (await ann.say("REPLACE 0 INBOX", letter())).startswith(b"BAD ")
    assert (await ann.say("REPLACE 1:2 INBOX", letter())).startswith(b"BAD ")
    assert (await ann.say("UID REPLACE 9 INBOX", letter())).startswith(b"NO [EXPUNGEISSUED] ")
    assert (await at.select(read_only=True).say("REPLACE 1 INBOX", letter())).startswith(b"NO [CANNOT] ")
    await at.account.expunge(ann.view.mailbox, [2])
    assert b"NO [EXPUNGEISSUED] " in await ann.say("REPLACE 2 INBOX", letter())
    assert list(ann.view.mailbox.uids) == [1, 3]
    assert at.account.head == head + 1


async def test_what_goes_makes_room(at: Desk) -> None:
    full = 3 * len(letter("a"))
    assert b"OK Replaced" in await at.select(messages=3, bytes=full).say("REPLACE 1 INBOX", letter("d"))


async def test_qresync_says_vanished_and_up_to_where(at: Desk) -> None:
    ann = at.select(enabled=Enabled(condstore=True, qresync=True))
    answer = await ann.say("UID REPLACE 2 INBOX", letter("new"))
    assert b"* 4 EXISTS\r\n* VANISHED 2\r\n* 1 RECENT\r\n" in answer
    modseq = at.account.mailbox("INBOX").highest_modseq
    assert answer.endswith(b"OK [HIGHESTMODSEQ %d] Replaced\r\n" % modseq), "RFC 7162 §3.2.7"


async def test_over_the_wire_with_a_literal_for_the_name(world: World) -> None:
    account = await world.account()
    client = await world.login(select="INBOX")
    await client.ask(b"APPEND INBOX {3+}\r\nold")
    await client.send(b"a REPLACE 1 {5+}\r\nINBOX {3}\r\n")
    assert (await client.line()).startswith(b"+ ")
    await client.send(b"new\r\n")
    assert (await client.until(b"a"))[-1] == b"a OK Replaced"
    assert (await client.refused(b"REPLACE 1 INBOX {3+}\r\none {3+}\r\ntwo")).startswith(b"a BAD One message replaces")
    assert [(await client.ok(b"FETCH 1 BODY.PEEK[]"))[0]] == [b"* 1 FETCH (BODY[] {3}\r\nnew)"]
    await client.ok(b"UNSELECT")
    assert (await client.refused(b"REPLACE 1 INBOX {3}")).startswith(b"a BAD ")
    assert account.mailbox("INBOX").exists == 1


async def test_numbers_are_refused_once_uidonly_is_enabled(world: World) -> None:
    await world.account()
    client = await world.login(select="INBOX")
    await client.ok(b"APPEND INBOX {3+}\r\nold")
    await client.ok(b"UNSELECT")
    await client.ok(b"ENABLE UIDONLY")
    await client.ok(b"SELECT INBOX")
    assert b"UIDREQUIRED" in await client.refused(b"REPLACE 1 INBOX {3+}\r\nnew")
    assert b"* VANISHED 1" in await client.ok(b"UID REPLACE 1 INBOX {3+}\r\nnew")
