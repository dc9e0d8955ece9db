"""AUTHENTICATE: RFC 3501 §6.2.2, with an initial response (RFC 4959); PLAIN: RFC 4616."""

from __future__ import annotations

import base64

from tests.mailpod.imap.dialogue import World

PLAIN = base64.b64encode(b"\0ann@example.org\0secret")


async def test_plain(world: World) -> None:
    client = await world.connect()
    await client.send(b"a AUTHENTICATE PLAIN\r\n")
    assert await client.line() == b"+ "
    await client.send(PLAIN + b"\r\n")
    assert (await client.line()).startswith(b"a OK [CAPABILITY ")


async def test_initial_response(world: World) -> None:
    client = await world.connect()
    assert await client.ok(b"AUTHENTICATE plain " + PLAIN) == []
    assert await client.ok(b"NOOP") == []


async def test_login_mechanism(world: World) -> None:
    client = await world.connect()
    await client.send(b"a AUTHENTICATE LOGIN\r\n")
    assert await client.line() == b"+ " + base64.b64encode(b"Username:")
    await client.send(base64.b64encode(b"ann@example.org") + b"\r\n")
    assert await client.line() == b"+ " + base64.b64encode(b"Password:")
    await client.send(base64.b64encode(b"secret") + b"\r\n")
    assert (await client.line()).startswith(b"a OK")


async def test_pipelined_response(world: World) -> None:
    """The client need not wait for the `+`; the next command is no response."""
    client = await world.connect()
    await client.send(b"a AUTHENTICATE PLAIN\r\n%b\r\nb NOOP\r\n" % PLAIN)
    assert await client.line() == b"+ "
    assert (await client.line()).startswith(b"a OK")
    assert await client.line() == b"b OK NOOP completed"


async def test_cancel_and_nonsense(world: World) -> None:
    client = await world.connect()
    for line, text in (
        (b"*", b"Authentication cancelled"),
        (b"%%", b"Invalid base64"),
        (b"", b"Authentication exchange: PLAIN needs two NULs"),
    ):
        await client.send(b"a AUTHENTICATE PLAIN\r\n%b\r\n" % line)
        assert await client.line() == b"+ "
        assert await client.line() == b"a BAD " + text


async def test_unknown_mechanism_and_wrong_password(world: World) -> None:
    client = await world.connect()
    assert await client.refused(b"AUTHENTICATE GSSAPI") == (b"a NO [CANNOT] Authentication mechanism is not supported")
    wrong = base64.b64encode(b"\0ann@example.org\0wrong")
    assert (await client.refused(b"AUTHENTICATE PLAIN " + wrong)).startswith(b"a NO [AUTHENTICATIONFAILED]")


async def test_nobody_acts_for_another(world: World) -> None:
    client = await world.connect()
    for_bob = base64.b64encode(b"bob@example.org\0ann@example.org\0secret")
    assert (await client.refused(b"AUTHENTICATE PLAIN " + for_bob)).startswith(b"a NO [AUTHORIZATIONFAILED] ")
    for_ann = base64.b64encode(b"ann@example.org\0ann@example.org\0secret")
    await client.ok(b"AUTHENTICATE PLAIN " + for_ann)


async def test_a_response_without_end(world: World) -> None:
    client = await world.connect()
    await client.send(b"a AUTHENTICATE PLAIN\r\n")
    assert await client.line() == b"+ "
    await client.send(b"A" * 20_000 + b"\r\nb NOOP\r\n")
    assert await client.line() == b"a BAD Command is longer than 8192 octets"
