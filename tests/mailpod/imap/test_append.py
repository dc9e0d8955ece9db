"""APPEND: RFC 3501 §6.3.11, RFC 4315 §3, RFC 3502, RFC 7888, RFC 7889."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.mailpod.imap.dialogue import MakeWorld, World, user
from tests.mailpod.imap.selected import Desk, desk, keywords, letter


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk() as found:
        yield found


async def test_flags_date_and_appenduid(at: Desk) -> None:
    ann, drafts = at.select("Drafts"), at.account.mailbox("Drafts")
    answer = await ann.say('APPEND Drafts (\\Draft $Odd) "07-Feb-1994 21:52:25 -0800"', letter())
    assert answer == (
        b"* 1 EXISTS\r\n* 1 RECENT\r\n%bOK [APPENDUID %d 1] Stored\r\n" % (keywords("$Odd"), drafts.uidvalidity)
    )
    answer = await ann.say("FETCH 1 (FLAGS INTERNALDATE BODY.PEEK[])")
    assert b'FLAGS (\\Draft $Odd \\Recent) INTERNALDATE " 7-Feb-1994 21:52:25 -0800"' in answer
    assert letter() in answer


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"no header at all",
        b"Subject: bare\nlines\n\nonly LF\n",
        b"A: b\r\n\r\n" + bytes(range(1, 256)),
        b"\r\n\r\n",
        b"Subject: no end",
        "Subject: größer\r\n\r\nž".encode(),
    ],
)
async def test_stored_octet_for_octet(at: Desk, data: bytes) -> None:
    ann = at.select()
    assert b"APPENDUID" in await ann.say("APPEND INBOX", data)
    assert b"BODY[] {%d}\r\n%b)" % (len(data), data) in await ann.say("FETCH 1 BODY.PEEK[]")
    assert b"RFC822.SIZE %d)" % len(data) in await ann.say("FETCH 1 RFC822.SIZE")


async def test_refusals(at: Desk) -> None:
    ann = at.select(bytes=150)
    assert (await ann.say("APPEND Nowhere", letter())).startswith(b"NO [TRYCREATE] ")
    assert b"OK [APPENDUID" in await ann.say("APPEND inbox", letter())
    assert (await ann.say("APPEND INBOX", letter())).startswith(b"NO [OVERQUOTA] ")
    assert ann.view.mailbox.exists == 1


async def test_several_messages_are_one_commit(world: World) -> None:
    account = await world.account()
    client, head = await world.login(select="INBOX"), account.head
    await client.send(b'a APPEND INBOX (\\Seen) "07-Feb-1994 21:52:25 -0800" {3}\r\n')
    assert (await client.line()).startswith(b"+ ")
    await client.send(b"one (x \\Draft) {3}\r\n")
    assert (await client.line()).startswith(b"+ ")
    await client.send(b"two {5+}\r\nthree\r\n")
    answer = await client.until(b"a")
    validity = account.mailbox("INBOX").uidvalidity
    assert answer[-1] == b"a OK [APPENDUID %d 1:3] Stored" % validity
    assert answer[0] == b"* 3 EXISTS"
    assert account.head == head + 1
    assert await client.ok(b"FETCH 1:3 (FLAGS BODY.PEEK[])") == [
        b"* 1 FETCH (FLAGS (\\Recent \\Seen) BODY[] {3}\r\none)",
        b"* 2 FETCH (FLAGS (\\Draft x \\Recent) BODY[] {3}\r\ntwo)",
        b"* 3 FETCH (FLAGS (\\Recent) BODY[] {5}\r\nthree)",
    ]


async def test_all_or_none(make: MakeWorld) -> None:
    world = await make(imap={"multiappend_messages": 3, "append_bytes": 100})
    await world.publish(user("ann", quota_messages=2))
    account = await world.account()
    client, head = await world.login(select="INBOX"), account.head
    for messages, refusal in (
        (b"{1+}\r\na {1+}\r\nb {1+}\r\nc", b"NO [OVERQUOTA]"),
        (b"{1+}\r\na {0+}\r\n", b"NO [CANNOT]"),
        (b"{1+}\r\na {101+}\r\n" + b"m" * 101, b"NO [TOOBIG]"),
        (b"{1+}\r\na {1+}\r\nb {1+}\r\nc {1+}\r\nd", b"NO [LIMIT]"),
        (b"{1+}\r\na (\\Foo) {1+}\r\nb", b"BAD"),
        (b"{1+}\r\na INBOX {1+}\r\nb", b"BAD"),
        (b"{1+}\r\na ", b"BAD"),
    ):
        assert (await client.refused(b"APPEND INBOX " + messages)).startswith(b"a " + refusal), refusal
    assert account.head == head
    assert world.services.budget.used == 0
    assert b"APPENDUID" in (await client.ask(b"APPEND INBOX {1+}\r\na {1+}\r\nb"))[-1]


async def test_who_holds_some_of_the_budget_does_not_wait_for_more(make: MakeWorld) -> None:
    world = await make(message_budget_bytes=1000)
    client = await world.login()
    await client.send(b"a APPEND INBOX {100}\r\n")
    await client.line()
    assert world.services.budget.try_take(850)
    await client.send(b"m" * 100 + b" {100}\r\n")
    assert (await client.until(b"a"))[-1].startswith(b"a NO [LIMIT]")
    world.services.budget.give(850)
    assert world.services.budget.used == 0


async def test_the_limit_is_told(make: MakeWorld) -> None:
    """RFC 7889 §2, §3."""
    client = await (await make(imap={"append_bytes": 1234})).login()
    assert b" APPENDLIMIT=1234" in (await client.ok(b"CAPABILITY"))[0]
    assert await client.ok(b"STATUS INBOX (APPENDLIMIT)") == [b"* STATUS INBOX (APPENDLIMIT 1234)"]


async def test_literal_minus(world: World) -> None:
    """RFC 7888 §5: LITERAL+ is all that LITERAL- is, and the two are not advertised together."""
    client = await world.login()
    (words,) = await client.ok(b"CAPABILITY")
    assert b" LITERAL+ " in words
    assert b"LITERAL-" not in words
    await client.ok(b"APPEND INBOX {4096+}\r\n" + b"m" * 4096)
    await client.ok(b"APPEND INBOX {4097+}\r\n" + b"m" * 4097)
