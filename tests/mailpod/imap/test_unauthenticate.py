"""UNAUTHENTICATE: RFC 8437."""

from __future__ import annotations

import base64
import zlib

import pytest
from tests.mailpod.imap.dialogue import Client, MakeWorld, World, eventually
from tests.mailpod.imap.test_compress import Deflating, compressed

from mailpod.config import CertificateFiles
from mailpod.store import NewMessage

OUT = b"a OK [CAPABILITY IMAP4rev1 "
AS_BOB = b"AUTHENTICATE PLAIN " + base64.b64encode(b"\0bob@example.org\0secret")


async def test_nothing_is_left_of_the_user(world: World) -> None:
    """RFC 8437 §4.1: what was enabled, the selected mailbox and the saved search."""
    await (await world.account()).append("INBOX", [NewMessage(b"a", flags=frozenset(["\\Deleted"])), NewMessage(b"b")])
    client = await world.login()
    await client.ok(b"ENABLE QRESYNC UIDONLY IMAP4rev2")
    await client.ok(b"SELECT INBOX")
    await client.ok(b"UID SEARCH RETURN (SAVE) ALL")
    [reply] = await client.ask(b"UNAUTHENTICATE")
    assert reply.startswith(OUT) and b" AUTH=PLAIN " in reply, "and nothing is expunged"
    for command in (b"SELECT INBOX", b"FETCH 1 FLAGS", b"UNAUTHENTICATE"):
        assert b"not authenticated state" in await client.refused(command)
    await client.ok(AS_BOB)
    assert (await client.refused(b"FETCH 1 FLAGS")).startswith(b"a BAD")
    await client.ok(b"CREATE Entw&APw-rfe")
    assert await client.ok(b'LIST "" E*') == [b'* LIST (\\HasNoChildren) "/" Entw&APw-rfe']
    await (await world.account("bob")).append("INBOX", [NewMessage(b"c")])
    assert b"* 1 RECENT" in await client.ok(b"SELECT INBOX")
    assert await client.ok(b"FETCH 1 FLAGS") == [b"* 1 FETCH (FLAGS (\\Recent))"]
    assert await client.ok(b"SEARCH $") == [b"* SEARCH"]
    ann = await world.login(select="INBOX")
    assert await ann.ok(b"SEARCH DELETED") == [b"* SEARCH 1"]


async def test_a_session_is_of_one_user_at_a_time(world: World) -> None:
    client = await world.login()
    registry = world.services.registry
    await client.ok(b"UNAUTHENTICATE")
    [session] = world.sessions()
    assert registry.count("ann@example.org") == 0
    assert session.idle_timeout == world.services.settings.login_timeout
    await client.ok(AS_BOB)
    assert (registry.count("ann@example.org"), registry.count("bob@example.org")) == (0, 1)
    client.close()
    await eventually(lambda: registry.count("bob@example.org") == 0)


async def test_log_in_again_in_one_round_trip(world: World) -> None:
    """RFC 8437 §3: UNAUTHENTICATE may be pipelined with AUTHENTICATE."""
    client = await world.login()
    await client.send(b"a UNAUTHENTICATE\r\nb %b\r\nc STATUS INBOX (MESSAGES)\r\n" % AS_BOB)
    assert (await client.line()).startswith(OUT)
    assert (await client.line()).startswith(b"b OK ")
    assert (await client.until(b"c"))[-1] == b"c OK STATUS completed"


async def test_an_unknown_peer_may_cost_no_more_than_before(world: World) -> None:
    client = await world.login()
    await client.ok(b"UNAUTHENTICATE")
    assert (await client.refused(b"NOOP " + b"x" * 9000)).startswith(b"a BAD Command is longer than 8192")


async def test_wrong_passwords_are_counted_on(make: MakeWorld) -> None:
    client = await (await make(login_failures=2, throttle_free_failures=9)).connect()
    await client.refused(b"LOGIN ann@example.org wrong")
    await client.ok(b"LOGIN ann@example.org secret")
    await client.ok(b"UNAUTHENTICATE")
    await client.refused(b"LOGIN ann@example.org wrong")
    assert await client.line() == b"* BYE Too many failed log-ins"


async def test_tls_stays(make: MakeWorld, certificate: CertificateFiles) -> None:
    client = await (await make(certificate)).connect()
    await client.ok(b"STARTTLS")
    await client.start_tls()
    await client.ok(b"LOGIN ann@example.org secret")
    [reply] = await client.ask(b"UNAUTHENTICATE")
    assert b"STARTTLS" not in reply
    assert (await client.refused(b"STARTTLS")) == b"a BAD TLS is active already"
    await client.ok(AS_BOB)


async def test_it_can_be_turned_off(make: MakeWorld) -> None:
    """RFC 8437 §8."""
    client = await (await make(imap={"unauthenticate": False})).login()
    assert b"UNAUTHENTICATE" not in (await client.ok(b"CAPABILITY"))[0]
    assert await client.refused(b"UNAUTHENTICATE") == b"a BAD UNAUTHENTICATE is turned off"
    await client.ok(b"NOOP")


def packed(client: Deflating, command: bytes, how: int) -> bytes:
    return client.packer.compress(command) + client.packer.flush(how)


async def plain_again(client: Deflating, sent: bytes) -> Client:
    """What the server says behind the OK of UNAUTHENTICATE, as it stands."""
    await Client.send(client, sent)
    assert (await client.line()).startswith(OUT)
    return Client(client.behind, client.writer)


@pytest.mark.parametrize("how", [zlib.Z_SYNC_FLUSH, zlib.Z_FINISH])
@pytest.mark.parametrize("pipelined", [False, True])
async def test_compression_ends(world: World, how: int, pipelined: bool) -> None:
    """RFC 8437 §4.1: the client's with the command, the server's with the OK."""
    client = await compressed(world)
    sent = packed(client, b"a UNAUTHENTICATE\r\n", how)
    login = b"b %b\r\nc COMPRESS DEFLATE\r\n" % AS_BOB
    after = await plain_again(client, sent + login if pipelined else sent)
    if not pipelined:
        await after.send(login)
    assert (await after.until(b"b"))[-1].startswith(b"b OK [CAPABILITY ")
    assert (await after.until(b"c"))[-1] == b"c OK DEFLATE active"
    again = Deflating(after)
    await again.ok(b"SELECT INBOX")


async def test_compression_ends_behind_what_still_runs(world: World) -> None:
    """Commands before it run while it arrives; what follows it must not be unpacked."""
    client = await compressed(world)
    sent = packed(client, b"".join(b"t%d NOOP\r\n" % at for at in range(100)), zlib.Z_SYNC_FLUSH)
    sent += packed(client, b"a UNAUTHENTICATE\r\n", zlib.Z_SYNC_FLUSH)
    await Client.send(client, sent + b"b %b\r\n" % AS_BOB)
    for at in range(100):
        assert await client.line() == b"t%d OK NOOP completed" % at
    assert (await client.line()).startswith(OUT)
    assert (await Client(client.behind, client.writer).until(b"b"))[-1].startswith(b"b OK ")


async def test_a_flush_that_comes_in_two_pieces(world: World) -> None:
    client = await compressed(world)
    sent = packed(client, b"a UNAUTHENTICATE\r\n", zlib.Z_SYNC_FLUSH)
    after = await plain_again(client, sent[:-3])
    await after.send(sent[-3:] + b"b %b\r\n" % AS_BOB)
    assert (await after.until(b"b"))[-1].startswith(b"b OK ")


async def test_the_words_in_a_message_end_nothing(world: World) -> None:
    client = await compressed(world)
    message = b"Subject: x\r\n\r\na UNAUTHENTICATE\r\n"
    await client.send(b"a APPEND INBOX {%d+}\r\n" % (2 * len(message)) + message)
    await client.send(message + b"\r\n")
    assert (await client.until(b"a"))[-1].startswith(b"a OK [APPENDUID")
    await client.ok(b"NOOP")
