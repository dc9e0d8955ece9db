"""COMPRESS=DEFLATE: RFC 4978."""

from __future__ import annotations

import asyncio
import re
import zlib

import pytest
from tests.mailpod.imap.dialogue import Client, MakeWorld, World, eventually

from mailpod.config import CertificateFiles

_FLUSHES = re.compile(rb".+?\x00\x00\xff\xff|.+", re.DOTALL)


class Deflating(Client):
    """A client after COMPRESS; `packed` counts what the server sent, `behind` gets it once the server packs no more."""

    def __init__(self, client: Client) -> None:
        super().__init__(asyncio.StreamReader(limit=2**20), client.writer)
        self.behind = asyncio.StreamReader(limit=2**20)
        self.packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        self.packed = 0
        self.packs = True
        self._task = asyncio.ensure_future(self._unpack(client.reader))

    async def _unpack(self, reader: asyncio.StreamReader) -> None:
        unpacker = zlib.decompressobj(-15)
        while data := await reader.read(65536):
            self.packed += len(data)
            for piece in _FLUSHES.findall(data):
                if self.packs:
                    text = unpacker.decompress(piece)
                    self.reader.feed_data(text)
                    self.packs = not text.endswith(b" Logged out\r\n")
                else:
                    self.behind.feed_data(piece)
        self.reader.feed_eof()
        self.behind.feed_eof()

    async def send(self, data: bytes) -> None:
        await super().send(self.packer.compress(data) + self.packer.flush(zlib.Z_SYNC_FLUSH))


async def compressed(world: World, *, tls: bool = False, select: str = "INBOX") -> Deflating:
    client = await world.connect()
    if tls:
        await client.ok(b"STARTTLS")
        await client.start_tls()
    await client.ok(b"LOGIN ann@example.org secret")
    assert b" COMPRESS=DEFLATE" in (await client.ok(b"CAPABILITY"))[0]
    await client.ok(b"COMPRESS DEFLATE")
    found = Deflating(client)
    await found.ok(b"SELECT %b" % select.encode())
    return found


@pytest.mark.parametrize("tls", [False, True])
async def test_everything_is_as_without(make: MakeWorld, certificate: CertificateFiles, tls: bool) -> None:
    ann = await compressed(await make(certificate), tls=tls)
    assert b"COMPRESS" not in (await ann.ok(b"CAPABILITY"))[0]
    message = b"Subject: large\r\n\r\n" + b"All work and no play makes Jack a dull boy.\r\n" * 40_000
    await ann.send(b"a APPEND INBOX {%d}\r\n" % len(message))
    assert (await ann.line()).startswith(b"+ ")
    await ann.send(message + b"\r\n")
    assert (await ann.until(b"a"))[-1].startswith(b"a OK [APPENDUID")
    before = ann.packed
    answer = await ann.ok(b"FETCH 1 BODY.PEEK[]")
    assert answer == [b"* 1 FETCH (BODY[] {%d}\r\n%b)" % (len(message), message)]
    assert ann.packed - before < len(message) // 20
    for command in (b"NOOP", b"SEARCH ALL", b"CHECK"):
        await ann.ok(command)


async def test_a_second_layer_is_refused(world: World) -> None:
    ann = await compressed(world)
    assert await ann.refused(b"COMPRESS DEFLATE") == b"a NO [COMPRESSIONACTIVE] DEFLATE is active already"


async def test_before_login_and_other_algorithms(world: World) -> None:
    client = await world.connect()
    assert b"COMPRESS" not in (await client.ok(b"CAPABILITY"))[0]
    assert (await client.refused(b"COMPRESS DEFLATE")).startswith(b"a BAD")
    await client.ok(b"LOGIN ann@example.org secret")
    assert await client.refused(b"COMPRESS LZ4") == b"a BAD Only DEFLATE is known"


async def test_idle_is_told_at_once(world: World) -> None:
    ann = await compressed(world)
    await ann.send(b"a IDLE\r\n")
    assert (await ann.line()).startswith(b"+ ")
    bob = await world.login(select="INBOX")
    await bob.send(b"b APPEND INBOX {3+}\r\n\r\n.\r\n")
    assert await ann.line() == b"* 1 EXISTS"
    assert await ann.line() == b"* 1 RECENT"
    await ann.send(b"DONE\r\n")
    assert (await ann.until(b"a"))[-1] == b"a OK IDLE completed"


async def test_many_commands_at_once(world: World) -> None:
    """More than is inflated in a turn: all are answered, in order."""
    ann = await compressed(world)
    await ann.send(b"".join(b"t%d NOOP\r\n" % at for at in range(20_000)))
    for at in range(20_000):
        assert await ann.line() == b"t%d OK NOOP completed" % at


async def test_what_is_no_deflate_ends_the_connection(world: World) -> None:
    client = await world.login()
    await client.ok(b"COMPRESS DEFLATE")
    await client.send(b"a NOOP\r\n" * 20)
    assert await client.closed()
    await eventually(lambda: not world.sessions())


async def test_a_bomb_takes_no_memory(world: World) -> None:
    """A command of 50 MB in 50 kB is refused like any that is too long, and the next one is understood."""
    ann = await compressed(world)
    await ann.send(b"a NOOP " + b"x" * 50_000_000 + b"\r\nb NOOP\r\n")
    assert (await ann.line()).startswith(b"a BAD Command is longer than")
    [session] = world.sessions()
    assert await ann.line() == b"b OK NOOP completed"
    assert len(session.buffer) < 200_000
