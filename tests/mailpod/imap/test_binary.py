"""BINARY: RFC 3516, RFC 9051 §6.4.5."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import pytest
from tests.mailpod.imap.dialogue import World
from tests.mailpod.imap.selected import Client, Desk, desk

MIXED = (
    b"Subject: parts\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"Gr=C3=BC=C3=9Fe=\r\n!\r\n--b\r\n"
    b"Content-Type: image/png\r\nContent-Transfer-Encoding: BASE64 (rfc2045)\r\n\r\nAAEC\r\nAwQF\r\n--b\r\n"
    b"Content-Type: text/plain\r\n\r\nas it is\r\n--b\r\n"
    b"Content-Type: text/plain\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nbegin\r\n--b\r\n"
    b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ntext\r\n--b--\r\n"
)
PLAIN = b"Subject: one part\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(b"a\0b")


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk() as found:
        await found.deliver(MIXED, PLAIN)
        yield found


@pytest.fixture
async def ann(at: Desk) -> Client:
    return at.select()


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("BINARY.PEEK[1]", b"BINARY[1] {8}\r\n" + "Grüße!".encode()),
        ("BINARY.SIZE[1]", b"BINARY.SIZE[1] 8"),
        ("BINARY.PEEK[2]", b"BINARY[2] ~{6}\r\n\0\1\2\3\4\5"),
        ("BINARY.SIZE[2]", b"BINARY.SIZE[2] 6"),
        ("BINARY.PEEK[2]<1.3>", b"BINARY[2]<1> {3}\r\n\1\2\3"),
        ("BINARY.PEEK[2]<9.3>", b'BINARY[2]<9> ""'),
        ("BINARY.PEEK[3]", b"BINARY[3] {8}\r\nas it is"),
        ("BINARY.PEEK[5]", b"BINARY[5] {22}\r\nSubject: inner\r\n\r\ntext"),
        ("BINARY.PEEK[1]<3>", b"BINARY[1]<3> {5}\r\n" + "Grüße!".encode()[3:]),
        ("BINARY.PEEK[5.HEADER]", b"BINARY[5.HEADER] {18}\r\nSubject: inner\r\n\r\n"),
        ("BINARY.SIZE[5.HEADER.FIELDS (To)]", b"BINARY.SIZE[5.HEADER.FIELDS (To)] 2"),
        ("BINARY.PEEK[5.TEXT]<1.2>", b"BINARY[5.TEXT]<1> {2}\r\nex"),
        ("BINARY.SIZE[2.MIME]", b"BINARY.SIZE[2.MIME] 72"),
        ("BINARY.PEEK[9]", b"BINARY[9] NIL"),
        ("BINARY.SIZE[9]", b"BINARY.SIZE[9] 0"),  # RFC 3516 §7: a number, as Dovecot says it too
        ("BINARY.PEEK[]", b"BINARY[] {%d}\r\n%b" % (len(MIXED), MIXED)),
        ("BINARY.SIZE[]", b"BINARY.SIZE[] %d" % len(MIXED)),
    ],
)
async def test_parts_without_their_encoding(ann: Client, item: str, value: bytes) -> None:
    assert await ann.say(f"FETCH 1 {item}") == b"* 1 FETCH (%b)\r\nOK FETCH completed\r\n" % value


async def test_white_space_added_to_encoded_lines(at: Desk) -> None:
    """RFC 2045 §6.7 rule 3: at the end of a line it is deleted; before an encoded line end it is text."""
    await at.deliver(b"Content-Transfer-Encoding: quoted-printable\r\n\r\na b \t\r\nc=20\r\nd = \r\ne \nf ")
    assert await at.select().say("FETCH 3 BINARY.PEEK[1]") == (
        b"* 3 FETCH (BINARY[1] {14}\r\na b\r\nc \r\nd e\nf)\r\nOK FETCH completed\r\n"
    )


async def test_the_only_part(ann: Client) -> None:
    assert await ann.say("UID FETCH 2 (BINARY.PEEK[1] BINARY.SIZE[1])") == (
        b"* 2 FETCH (UID 2 BINARY[1] ~{3}\r\na\0b BINARY.SIZE[1] 3)\r\nOK UID FETCH completed\r\n"
    )


async def test_an_unknown_encoding_fails_and_others_are_told(ann: Client) -> None:
    answer = await ann.say("FETCH 1:2 BINARY.PEEK[4]")
    assert answer.startswith(b"* 2 FETCH (BINARY[4] NIL)\r\nNO [UNKNOWN-CTE] ")


async def test_what_marks_as_seen(at: Desk, ann: Client) -> None:
    await ann.say("FETCH 1 (BINARY.PEEK[1] BINARY.SIZE[1])")
    assert at.flags(1) == set()
    assert b"(FLAGS (\\Recent \\Seen) BINARY[1]" in await ann.say("FETCH 1 BINARY[1]")
    assert at.flags(1) == {"\\Seen"}


@pytest.mark.parametrize("item", ["BINARY", "BINARY[MIME]", "BINARY[1.]", "BINARY.SIZE[1]<0.1>", "BINARY[0]"])
async def test_what_is_refused(ann: Client, item: str) -> None:
    assert (await ann.say(f"FETCH 1 {item}")).startswith(b"BAD")


async def append(world: World, message: bytes) -> list[bytes]:
    client = await world.login(select="INBOX")
    await client.send(b"a APPEND INBOX (\\Seen) ~{%d}\r\n" % len(message))
    assert (await client.line()).startswith(b"+ ")
    await client.send(message + b"\r\n")
    [*_, tagged] = await client.until(b"a")
    await client.ok(b"NOOP")
    body = await client.ask(b"FETCH * (BODY.PEEK[] BINARY.PEEK[1])")
    return [tagged, *body]


async def test_a_literal8_is_stored_as_it_came(world: World) -> None:
    tagged, body, _ = await append(world, b"Subject: x\r\n\r\nno such octets\r\n")
    assert tagged.startswith(b"a OK [APPENDUID")
    assert b"BODY[] {30}\r\nSubject: x\r\n\r\nno such octets\r\n" in body


async def test_parts_with_nuls_are_put_into_base64(world: World) -> None:
    """RFC 3516 §4.4; BODY[] has no octets that a literal cannot hold."""
    header = b"Subject: x\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    client = await world.login(select="INBOX")
    message = header + bytes(range(256))
    await client.send(b"a APPEND INBOX ~{%d+}\r\n%b\r\n" % (len(message), message))
    assert (await client.until(b"a"))[-1].startswith(b"a OK [APPENDUID")
    await client.ok(b"NOOP")
    [body] = await client.ok(b"FETCH 1 BODY.PEEK[]")
    assert b"\0" not in body
    assert b"Content-Transfer-Encoding: base64" in body
    assert await client.ok(b"FETCH 1 BINARY.SIZE[1]") == [b"* 1 FETCH (BINARY.SIZE[1] 256)"]
    assert await client.ok(b"FETCH 1 BINARY.PEEK[1]<65.3>") == [b"* 1 FETCH (BINARY[1]<65> {3}\r\nABC)"]


async def test_nuls_where_nothing_can_be_encoded(world: World) -> None:
    client = await world.login()
    for message in (b"Sub\0ject: x\r\n\r\n", b"Content-Transfer-Encoding: base64\r\n\r\n\0"):
        await client.send(b"a APPEND INBOX ~{%d+}\r\n%b\r\n" % (len(message), message))
        assert (await client.until(b"a"))[-1].startswith(b"a NO [UNKNOWN-CTE] ")
