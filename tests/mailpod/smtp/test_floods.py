"""Whoever sends more than anybody needs: a clear refusal, and memory that does not grow with it."""

from __future__ import annotations

import asyncio
import contextlib
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.mailpod.smtp.server import serving
from tests.mailpod.smtp.test_sessions import gone

ALICE = "alice@example.com"
PIECE = 10_000


@contextlib.contextmanager
def grown() -> Iterator[Callable[[], int]]:
    """How many octets of memory this process, the server in it, takes at most beyond what it has now."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is used now
    before = _peak()
    yield lambda: _peak() - before


def _peak() -> int:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


async def test_a_million_recipients() -> None:
    """Sent without reading a reply, as far as the server takes them."""
    async with serving(smtp={"max_recipients": 100}) as server, server.client() as client:
        await client.hello()
        client.send(b"MAIL FROM:<>\r\n")
        tracemalloc.start()
        replies = asyncio.create_task(client.reader.read())
        with contextlib.suppress(ConnectionError):
            for _ in range(1_000_000 // PIECE):
                client.send(b"RCPT TO:<alice@example.com>\r\n" * PIECE)
                await client.writer.drain()
                if replies.done():
                    break
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        with contextlib.suppress(ConnectionError):
            heard = (await replies).decode().split("\r\n")
            assert heard.count("250 2.1.5 OK") == 100
            assert "452 4.5.3 Too many recipients" in heard
            assert heard[-2].startswith("421 4.7.0 ")
        assert peak < 16 * 2**20
        await gone(server.services.connections)


async def test_a_line_without_an_end() -> None:
    async with serving(smtp={"command_timeout": 1}) as server, server.client() as client:
        await client.hello()
        tracemalloc.start()
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                client.send(b"x" * 2**20)
                await client.writer.drain()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 8 * 2**20
        with contextlib.suppress(ConnectionError):  # a slow machine is still sending when the time is over
            assert await client.reply() == "421 4.4.2 Timed out, closing"


async def test_a_message_of_one_line_without_an_end() -> None:
    async with serving(smtp={"max_message_bytes": 2**20}) as server, server.client() as client:
        await client.hello()
        for line in ("MAIL FROM:<>", f"RCPT TO:<{ALICE}>", "DATA"):
            await client.say(line)
        with grown() as peak, contextlib.suppress(ConnectionError):
            for _ in range(64):
                client.send(b"x" * 2**20)
                await client.writer.drain()
        assert peak() < 32 * 2**20
        with contextlib.suppress(ConnectionError):  # cut while it still sends
            assert await client.reply() in ("552 5.3.4 Message is larger than the limit", "closed")
        assert await server.inbox(ALICE) == []


async def test_a_bomb_of_parts() -> None:
    """Multiparts in multiparts, a hundred thousand of them: taken as they are, and read in bounded time and memory."""
    nested = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(10_000))
    flat = b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n' + b"--x\r\n\r\n\r\n" * 100_000
    async with serving() as server, server.client() as client:
        await client.hello()
        began = time.process_time()
        with grown() as peak:
            for content in (nested, flat):
                assert (await client.message(content + b"\r\n", ALICE))[:3] == "250"
        assert peak() < 64 * 2**20 and time.process_time() - began < 10
        assert [len(one) > 2**19 for one in await server.inbox(ALICE)] == [True, True]


async def test_many_who_say_nothing() -> None:
    async with serving(smtp={"command_timeout": 0.2}, max_connections=50) as server:
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(server.client()) for _ in range(60)]
            greetings = [(await client.reply())[:3] for client in clients]
            assert greetings.count("220") == 50 and greetings.count("421") == 10
            for client, greeting in zip(clients, greetings, strict=True):
                if greeting == "220":
                    client.send(b"EH")  # and no more
                    assert await client.reply() == "421 4.4.2 Timed out, closing"
        await gone(server.services.connections)
