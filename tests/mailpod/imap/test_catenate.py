"""CATENATE: RFC 4469, with RFC 3502, RFC 6855 §4, RFC 8508 and RFC 5550's URL-PARTIAL."""

from __future__ import annotations

import pytest
from tests.mailpod.imap.dialogue import Client, MakeWorld, World, user

from mailpod.store import NewMessage

MIXED = (
    b"Subject: two\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain\r\n\r\nfirst\r\n"
    b"--b\r\nContent-Type: application/zip\r\n\r\nZIP\r\n--b--\r\n"
)
HEADER = MIXED.partition(b"--b\r\n")[0]


@pytest.fixture
async def client(world: World) -> Client:
    """Drafts has MIXED with the UID 1."""
    await (await world.account()).append("Drafts", [NewMessage(MIXED)])
    return await world.login()


async def made(client: Client, parts: bytes, mailbox: bytes = b"Sent") -> bytes:
    """The message that is made of `parts`."""
    tagged = (await client.ask(b"APPEND %b CATENATE (%b)" % (mailbox, parts)))[-1]
    assert tagged.startswith(b"a OK [APPENDUID "), tagged
    await client.ok(b"EXAMINE " + mailbox)
    [answer] = await client.ok(b"FETCH * BODY.PEEK[]")
    await client.ok(b"UNSELECT")
    head, _, message = answer.removesuffix(b")").partition(b"\r\n")
    assert head.endswith(b"{%d}" % len(message))
    return message


async def test_an_attachment_is_replaced(client: Client, world: World) -> None:
    """RFC 4469 App. A, example 1: the octets that FETCH would give, and those that come with the command."""
    validity = (await world.account()).mailbox("Drafts").uidvalidity
    await client.send(
        b'a APPEND Sent (\\Seen $x) CATENATE (URL "/Drafts;UIDVALIDITY=%d/;UID=1/;section=HEADER" ' % validity
    )
    for text, parts in (
        (b"--b\r\n", b' URL "/Drafts/;UID=1/;section=1.MIME" URL "/Drafts/;UID=1/;section=1" '),
        (b"\r\n--b\r\n\r\nnew\r\n--b--\r\n", b")\r\n"),
    ):
        await client.send(b"TEXT {%d}\r\n" % len(text))
        assert (await client.line()).startswith(b"+ ")
        await client.send(text + parts)
    assert b"a OK [APPENDUID " in (await client.until(b"a"))[-1]
    await client.ok(b"SELECT Sent")
    want = HEADER + b"--b\r\nContent-Type: text/plain\r\n\r\nfirst\r\n--b\r\n\r\nnew\r\n--b--\r\n"
    assert await client.ok(b"FETCH 1 (FLAGS BODY.PEEK[])") == [
        b"* 1 FETCH (FLAGS (\\Recent \\Seen $x) BODY[] {%d}\r\n%b)" % (len(want), want)
    ]
    await client.ok(b"SELECT Drafts")
    assert await client.ok(b"SEARCH SEEN") == [b"* SEARCH"], "RFC 4469 §3: what is read stays unseen"


@pytest.mark.parametrize(
    ("url", "octets"),
    [
        (b"/Drafts/;UID=1", MIXED),
        (b"Drafts/;UID=1/;SECTION=TEXT", MIXED.removeprefix(HEADER)),
        (b"/Drafts/;UID=1/;SECTION=HEADER.FIELDS%20(SUBJECT)", b"Subject: two\r\n\r\n"),
        (b"/Drafts/;UID=1/;SECTION=2", b"ZIP"),
        (b"/Drafts/;UID=1/;SECTION=2/;PARTIAL=1.1", b"I"),
        (b"/Drafts/;UID=1/;PARTIAL=9", MIXED[9:]),
        (b"imap://ann%40example.org@localhost/Drafts/;UID=1/;SECTION=2", b"ZIP"),
    ],
)
async def test_urls(client: Client, url: bytes, octets: bytes) -> None:
    assert await made(client, b'TEXT {1+}\r\nx URL "%b"' % url) == b"x" + octets


async def test_relative_to_the_selected_mailbox(client: Client) -> None:
    await client.ok(b"SELECT Drafts")
    assert await made(client, b'URL ";UID=1/;SECTION=2"') == b"ZIP"
    assert (await client.refused(b'APPEND Sent CATENATE (URL ";UID=1")')).startswith(b"a NO [BADURL ;UID=1] ")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (b"/Drafts/;UID=9", b"/Drafts/;UID=9"),
        (b"/Drafts/;UID=1/;SECTION=7", b"/Drafts/;UID=1/;SECTION=7"),
        (b"/Drafts/;UID=1/;SECTION=FOO", b"/Drafts/;UID=1/;SECTION=FOO"),
        (b"/Drafts;UIDVALIDITY=1/;UID=1", b"/Drafts;UIDVALIDITY=1/;UID=1"),
        (b"/None/;UID=1", b"/None/;UID=1"),
        (b"/Other%20Users/bob%40example.org/INBOX/;UID=1", b"/Other%20Users/bob%40example.org/INBOX/;UID=1"),
        (b"imap://ann%40example.org@elsewhere/Drafts/;UID=1", b"imap://ann%40example.org@elsewhere/Drafts/;UID=1"),
        (b"imap://bob%40example.org@localhost/INBOX/;UID=1", b"imap://bob%40example.org@localhost/INBOX/;UID=1"),
        (b"imap://localhost/Drafts/;UID=1", b"imap://localhost/Drafts/;UID=1"),
        (b"no url] x", b"no%20url%5D%20x"),
    ],
)
async def test_the_first_bad_url_is_named(client: Client, world: World, url: bytes, shown: bytes) -> None:
    """RFC 4469 §4.1; nothing is stored."""
    head = (await world.account()).head
    assert (await client.refused(b'APPEND Sent CATENATE (URL "" URL "%b")' % url)).startswith(b"a NO [CANNOT] The URL")
    refused = await client.refused(b'APPEND Sent CATENATE (URL /Drafts/;UID=1 URL "%b" URL "worse")' % url)
    assert refused == b"a NO [BADURL %b] The URL names no message or part of one" % shown
    assert (await world.account()).head == head


async def test_an_expunged_message_is_none(client: Client) -> None:
    """RFC 4469 §4.1, invalid UID: whether or not its octets were collected."""
    await client.ok(b"APPEND Drafts {1+}\r\nx")
    await client.ok(b"SELECT Drafts")
    await client.ok(b"STORE 1 +FLAGS (\\Deleted)")
    await client.ok(b"EXPUNGE")
    assert (await client.refused(b"APPEND Sent CATENATE (URL /Drafts/;UID=1)")).startswith(b"a NO [BADURL ")


async def test_a_shared_mailbox_is_read_by_whom_it_may_be(client: Client, world: World) -> None:
    """RFC 4314 §4: as FETCH, by the right r."""
    bob, url = await world.login("bob"), b'"/Other%20Users/ann%40example.org/Drafts/;UID=1/;SECTION=2"'
    refused = await bob.refused(b"APPEND Sent CATENATE (URL %b)" % url)
    await client.ok(b"SETACL Drafts bob@example.org l")
    assert await bob.refused(b"APPEND Sent CATENATE (URL %b)" % url) == refused
    await client.ok(b"SETACL Drafts bob@example.org lr")
    assert await made(bob, b"URL " + url) == b"ZIP"


async def test_several_messages_are_one_commit(client: Client, world: World) -> None:
    """RFC 3502 with RFC 4469 §3: messages that come whole among those that are made."""
    account = await world.account()
    head = account.head
    await client.send(
        b"a APPEND Sent CATENATE (URL {14+}\r\n/Drafts/;UID=1) (x) {1+}\r\n1 "
        b"CATENATE (TEXT ~{2+}\r\n23 URL {25+}\r\n/Drafts/;UID=1/;section=2 UTF8 (~{1+}\r\n4)) UTF8 (~{1+}\r\n5)\r\n"
    )
    assert b" 1:4] Stored" in (await client.until(b"a"))[-1]
    assert account.head == head + 1
    await client.ok(b"SELECT Sent")
    assert [answer.rpartition(b"\r\n")[2] for answer in await client.ok(b"FETCH 2:4 BODY.PEEK[]")] == [
        b"1)",
        b"23ZIP4)",
        b"5)",
    ]


async def test_a_draft_replaces_itself(client: Client) -> None:
    """RFC 8508 with CATENATE."""
    await client.ok(b"SELECT Drafts")
    answer = await client.ask(b'UID REPLACE 1 Drafts (\\Draft) CATENATE (TEXT {5+}\r\nnew\r\n URL ";UID=1/;SECTION=2")')
    assert b"* 1 EXPUNGE" in answer
    assert (await client.ok(b"FETCH 1 BODY.PEEK[]"))[0].endswith(b"new\r\nZIP)")
    refused = await client.refused(b"UID REPLACE 2 Drafts CATENATE (TEXT {1+}\r\nx) {1+}\r\ny")
    assert refused == b"a BAD One message replaces one message"
    refused = await client.refused(b'UID REPLACE 2 Drafts CATENATE (URL "x")')
    assert refused.startswith(b"a NO [BADURL x] ")
    assert (await client.ok(b"FETCH 1 BODY.PEEK[]"))[0].endswith(b"ZIP)"), "the old one is there"


async def test_limits(make: MakeWorld) -> None:
    world = await make(imap={"append_bytes": 300, "catenate_parts": 4, "multiappend_messages": 3})
    await (await world.account()).append("Drafts", [NewMessage(b"x" * 110)])
    client, url = await world.login(), b"URL /Drafts/;UID=1"
    await client.ok(b"APPEND Sent CATENATE (%b %b)" % (url, url))
    refused = await client.refused(b"APPEND Sent CATENATE (%b %b %b)" % (url, url, url))
    assert refused == b"a NO [TOOBIG] Message is larger than the limit"
    refused = await client.refused(b"APPEND Sent CATENATE (%b TEXT {200+}\r\n%b)" % (url, b"y" * 200))
    assert refused.startswith(b"a NO [TOOBIG] ")
    refused = await client.refused(b"APPEND Sent CATENATE (%b)" % b" ".join([url] * 5))
    assert refused == b"a NO [LIMIT] One APPEND may catenate 4 parts"
    refused = await client.refused(b"APPEND Sent CATENATE (%b)" % b" ".join([b"TEXT {1+}\r\nx"] * 4))
    assert refused == b"a NO [LIMIT] One APPEND may have 3 messages or texts"
    assert world.services.budget.used == 0


async def test_refusals(make: MakeWorld) -> None:
    world = await make(imap={"append_8bit_headers": False})
    client = await world.login()
    await world.publish(user("ann", quota_messages=1))
    world.services.directory.forget("ann@example.org")
    assert (await client.refused(b'APPEND None CATENATE (URL "x")')).startswith(b"a NO [TRYCREATE] ")
    assert (await client.refused(b"APPEND Sent CATENATE (TEXT {0+}\r\n)")).startswith(
        b"a NO [CANNOT] A message cannot be"
    )
    refused = await client.refused(b"APPEND Sent CATENATE (TEXT {12+}\r\nS: \xc3\xa9\r\n\r\nxyz)")
    assert refused == b"a NO [CANNOT] A header with 8-bit characters needs ENABLE UTF8=ACCEPT"
    for parts in (
        b"()",
        b'(TEXT "x")',
        b'(FOO "x")',
        b"(URL)",
        b'(URL "x"',
        b'(URL "x" )x',
        b'URL "x"',
        b"(TEXT {1+}\r\nx",
    ):
        assert (await client.refused(b"APPEND Sent CATENATE " + parts)).startswith(b"a BAD "), parts


async def test_who_holds_octets_waits_for_no_others(client: Client, world: World) -> None:
    budget = world.services.budget
    assert budget.try_take(budget.total)
    refused = await client.refused(b"APPEND Sent CATENATE (URL /Drafts/;UID=1)")
    budget.give(budget.total)
    assert refused == b"a NO [LIMIT] Server is busy, try again later"
    await client.ok(b"APPEND Sent CATENATE (URL /Drafts/;UID=1)")
    assert budget.used == 0
