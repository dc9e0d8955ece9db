"""UTF8=ACCEPT: RFC 9755, and what RFC 6855 had before it."""

from __future__ import annotations

import pytest
from tests.mailpod.imap.dialogue import Client, MakeWorld, World

from mailpod.store import NewMessage

LETTER = "Subject: größer\r\n\r\nž".encode()
REFUSED = b"a NO [CANNOT] A header with 8-bit characters needs ENABLE UTF8=ACCEPT"


@pytest.fixture
async def client(world: World) -> Client:
    client = await world.login()
    assert await client.ok(b"ENABLE UTF8=ACCEPT") == [b"* ENABLED UTF8=ACCEPT"]
    return client


async def appended(client: Client, data: bytes, form: bytes = b"~{%d+}\r\n%b") -> bytes:
    return (await client.ask(b"APPEND INBOX " + form % (len(data), data)))[-1]


async def test_names_are_utf8(client: Client, world: World) -> None:
    """RFC 9755 §3: in quoted strings and in literals, in both directions; & is a character like another."""
    old = await world.login()
    await client.ok('CREATE "Entwürfe & mehr"'.encode())
    await client.ok(b"CREATE {5+}\r\n\xe2\x98\x83&-")
    assert await client.ok(b'LIST "" (E* "\xe2\x98\x83*")') == [
        '* LIST () "/" "Entwürfe & mehr"'.encode(),
        b'* LIST () "/" "\xe2\x98\x83&-"',
    ]
    assert await old.ok(b'LIST "" E*') == [b'* LIST (\\HasNoChildren) "/" "Entw&APw-rfe &- mehr"']
    assert await client.ok('STATUS "Entwürfe & mehr" (MESSAGES)'.encode()) == [
        '* STATUS "Entwürfe & mehr" (MESSAGES 0)'.encode()
    ]
    roots = await client.ok('GETQUOTAROOT "Entwürfe & mehr"'.encode())
    assert roots[0].startswith('* QUOTAROOT "Entwürfe & mehr"'.encode())
    await client.ok(b"SUBSCRIBE {5+}\r\n\xe2\x98\x83&-")
    assert b'* LSUB () "/" "\xe2\x98\x83&-"' in await client.ok(b'LSUB "" *')
    await client.ok('SELECT "Entwürfe & mehr"'.encode())
    assert b"* 0 RECENT" in await client.ok(b"SELECT INBOX"), "and the rest is as RFC 3501 has it"


@pytest.mark.parametrize("name", ["a\u2028b", "a\u2029b", "a\x85b", "a\x7fb", "a\x01b"])
async def test_names_without_control_characters(client: Client, name: str) -> None:
    wire = name.encode()
    assert (await client.refused(b"CREATE {%d+}\r\n%b" % (len(wire), wire))).startswith(b"a NO [CANNOT]")


@pytest.mark.parametrize(
    "command", [b'CREATE "\xff"', b'SELECT "caf\xe9"', b'LIST "" "\xed\xa0\x80"', b"CREATE {1+}\r\n\xff"]
)
async def test_what_is_not_utf8_is_bad(client: Client, world: World, command: bytes) -> None:
    for one in (client, await world.login()):
        assert (await one.refused(command)).startswith(b"a BAD")


async def test_a_search_has_no_charset(client: Client, world: World) -> None:
    """RFC 9755 §3; SORT and THREAD, which must name one, name UTF-8."""
    await (await world.account()).append("INBOX", [NewMessage(LETTER)])
    await client.ok(b"SELECT INBOX")
    assert await client.ok('SEARCH SUBJECT "GRÖßER"'.encode()) == [b"* SEARCH 1"]
    for charset in (b"UTF-8", b"US-ASCII"):
        assert (await client.refused(b"SEARCH CHARSET %b ALL" % charset)).startswith(b"a BAD CHARSET")
        assert (await client.refused(b"UID SEARCH CHARSET %b ALL" % charset)).startswith(b"a BAD CHARSET")
        assert (await client.refused(b"ESEARCH IN (personal) CHARSET %b ALL" % charset)).startswith(b"a BAD CHARSET")
    for command in (b"SORT (DATE) %b ALL", b"UID SORT (DATE) %b ALL", b"THREAD REFS %b ALL"):
        assert (await client.ok(command % b"utf-8"))[0].rpartition(b" ")[2] in (b"1", b"(1)")
        assert (await client.refused(command % b"US-ASCII")).startswith(b"a BAD CHARSET is UTF-8")


async def test_a_header_in_utf8_needs_that_it_was_enabled(make: MakeWorld) -> None:
    """RFC 9755 §4, where it is kept to: a NO to who did not; the body may be of any octets."""
    client = await (await make(imap={"append_8bit_headers": False})).login()
    assert await appended(client, LETTER) == REFUSED
    assert await appended(client, LETTER, b"UTF8 (~{%d+}\r\n%b)") == REFUSED
    assert await appended(client, b"\r\n" + LETTER) != REFUSED
    assert await appended(client, b"Subject: x\n\n\xff") != REFUSED
    assert await appended(client, b"Subject: no end \xff") == REFUSED
    await client.ok(b"SELECT INBOX")
    replaced = await client.ask(b"REPLACE 1 INBOX ~{%d+}\r\n%b" % (len(LETTER), LETTER))
    assert replaced == [REFUSED]
    await client.ok(b"UNSELECT")
    await client.ok(b"ENABLE IMAP4rev2")
    assert (await appended(client, LETTER)).startswith(b"a OK [APPENDUID "), "RFC 9051 has UTF-8 headers too"


async def test_a_search_string_that_is_not_utf8_is_a_no(client: Client, world: World) -> None:
    """RFC 3501 §6.4.4: "can't search that". Angus Mail 2.0.4 (JavaMail) sends
    Latin-1 once it has enabled UTF8=ACCEPT; after a NO it searches the messages itself, after a BAD it gives up."""
    for one in (client, await world.login()):
        await one.ok(b"SELECT INBOX")
        for text in (b'"Gr\xfc\xdfe"', b"{5+}\r\nGr\xfc\xdfe"):
            for command in (b"SEARCH SUBJECT %b", b"UID SEARCH NOT BODY %b", b"SORT (DATE) UTF-8 OR SEEN TEXT %b"):
                assert (await one.refused(command % text)).startswith(b"a NO [BADCHARSET (UTF-8 US-ASCII)]")


async def test_a_quoted_string_is_in_the_charset(world: World) -> None:
    """RFC 3501 §6.4.4: as all strings in the criteria."""
    await (await world.account()).append("INBOX", [NewMessage(LETTER)])
    ann = await world.login()
    await ann.ok(b"SELECT INBOX")
    for charset in (b"ISO-8859-1", b"windows-1252"):
        assert await ann.ok(b'SEARCH CHARSET %b SUBJECT "gr\xf6\xdfer"' % charset) == [b"* SEARCH 1"]
        assert await ann.ok(b'SEARCH CHARSET %b SUBJECT "gr\xf6\xdfor"' % charset) == [b"* SEARCH"]
    for charset in (b"UTF-8", b"US-ASCII"):
        refused = await ann.refused(b'SEARCH CHARSET %b SUBJECT "gr\xf6\xdfer"' % charset)
        assert refused.startswith(b"a NO [BADCHARSET (UTF-8 US-ASCII)]")


@pytest.mark.parametrize("form", [b"{%d+}\r\n%b", b"~{%d+}\r\n%b", b"UTF8 (~{%d+}\r\n%b)"])
async def test_a_header_in_utf8_is_kept_and_given(client: Client, form: bytes) -> None:
    assert (await appended(client, LETTER, form)).startswith(b"a OK [APPENDUID ")
    await client.ok(b"SELECT INBOX")
    [answer] = await client.ok(b"FETCH 1 (ENVELOPE BODY.PEEK[])")
    assert "größer".encode() in answer.split(b"BODY[]")[0]
    assert answer.endswith(LETTER + b")")


async def test_several_in_one_append(client: Client) -> None:
    await client.send(b"a APPEND INBOX (x) UTF8 (~{%d}\r\n" % len(LETTER))
    assert (await client.line()).startswith(b"+ ")
    await client.send(LETTER + b") (y) UTF8 (~{%d+}\r\n%b) {1+}\r\nz\r\n" % (len(LETTER), LETTER))
    assert b" 1:3] Stored" in (await client.until(b"a"))[-1]


async def test_old_mail_may_be_moved_here(world: World) -> None:
    client = await world.login()
    assert (await appended(client, b"Subject: caf\xe9\r\n\r\n")).startswith(b"a OK [APPENDUID ")


async def test_of_one_connection(make: MakeWorld) -> None:
    """RFC 5161 §3.1, RFC 8437 §4.1."""
    client = await (await make(imap={"append_8bit_headers": False})).login()
    await client.ok(b"ENABLE UTF8=ACCEPT")
    await client.ok('CREATE "Entwürfe"'.encode())
    await client.ok(b"UNAUTHENTICATE")
    await client.ok(b"LOGIN ann@example.org secret")
    assert await client.ok(b'LIST "" E*') == [b'* LIST (\\HasNoChildren) "/" Entw&APw-rfe']
    assert await appended(client, LETTER) == REFUSED
