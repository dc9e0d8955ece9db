"""The order of commands, pipelining, limits, and how a connection ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest
from tests.mailpod.smtp.server import PASSWORD, Client, serving
from tests.mailpod.smtp.test_recipients import plain

MAIL = b"Subject: x\r\n\r\nbody\r\n"


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        (["MAIL FROM:<>"], "503 5.5.1 Send EHLO first"),
        (["RCPT TO:<alice@example.com>"], "503 5.5.1 Send EHLO first"),
        (["EHLO c", "RCPT TO:<alice@example.com>"], "503 5.5.1 Need MAIL first"),
        (["EHLO c", "DATA"], "503 5.5.1 Need MAIL and RCPT first"),
        (["EHLO c", "MAIL FROM:<>", "MAIL FROM:<>"], "503 5.5.1 Sender is already given"),
        (["EHLO c", "MAIL FROM:<>", "DATA"], "554 5.5.1 No valid recipients"),
        (["EHLO c", "MAIL FROM:<>", "RSET", "RCPT TO:<alice@example.com>"], "503 5.5.1 Need MAIL first"),
        (["EHLO c", "MAIL FROM:<>", "EHLO d", "DATA"], "503 5.5.1 Need MAIL and RCPT first"),
        (["EHLO"], "501 5.5.4 EHLO needs an argument"),
        (["RSET now"], "501 5.5.4 RSET takes no argument"),
        (["STARTTLS"], "454 4.7.0 TLS is not available"),
        (["EHLO c", "AUTH PLAIN"], "500 5.5.2 Command is not known"),
        (["EHLO c", "VRFY alice"], "252 2.1.5 Send a message to find out"),
        (["EHLO c", "EXPN team"], "502 5.5.1 EXPN is not offered"),
        (["EHLO c", "MAIL TO:<>"], "501 5.5.4 Syntax: FROM:<address>"),
        (["EHLO c", "MAIL FROM:<> SIZE=52428801"], "552 5.3.4 Message is larger than the limit"),
        (["EHLO c", "MAIL FROM:<a>"], "501 5.1.7 The sender needs a domain"),
        (["NOOP whatever"], "250 2.0.0 OK"),
        (["HELO c"], "250 mx.example.com"),
        (["HELP"], "214 2.0.0 EHLO HELO STARTTLS MAIL RCPT DATA BDAT RSET NOOP QUIT HELP VRFY EXPN"),
        (["GET / HTTP/1.1"], "500 5.5.2 Command is not known"),
        (["X" * 3000], "500 5.5.2 Line is too long"),
        (["X" * 300_000, "NOOP"], "250 2.0.0 OK"),
    ],
)
async def test_dialogue(said: list[str], reply: str) -> None:
    async with serving() as server, server.client() as client:
        await client.reply()
        for line in said:
            last = await client.say(line)
        assert last == reply


async def test_a_pipelined_group_is_answered_in_one_piece() -> None:
    async with serving() as server, server.client() as client:
        await client.hello()
        client.send(b"MAIL FROM:<>\r\nRCPT TO:<alice@example.com>\r\nRCPT TO:<nobody@example.com>\r\nDATA\r\n")
        assert [(await client.reply())[:3] for _ in range(4)] == ["250", "250", "550", "354"]
        client.send(MAIL + b".\r\nMAIL FROM:<>\r\nRCPT TO:<nobody@example.com>\r\nDATA\r\nQUIT\r\n")
        assert [(await client.reply())[:3] for _ in range(5)] == ["250", "250", "550", "554", "221"]
        assert await client.closed()
        assert len(await server.inbox("alice@example.com")) == 1


async def test_everything_at_once_and_half_closed() -> None:
    async with serving() as server, server.client() as client:
        client.send(b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<alice@example.com>\r\nDATA\r\n" + MAIL + b".\r\nQUIT\r\n")
        client.writer.write_eof()
        assert [(await client.reply())[:3] for _ in range(7)] == ["220", "250", "250", "250", "354", "250", "221"]
        assert len(await server.inbox("alice@example.com")) == 1


async def test_byte_by_byte() -> None:
    async with serving() as server, server.client() as client:
        said = b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<alice@example.com>\r\nDATA\r\n..dot\r\n.\r\nQUIT\r\n"
        for index in range(len(said)):
            client.send(said[index : index + 1])
            await client.writer.drain()
            await asyncio.sleep(0)
        assert [(await client.reply())[:3] for _ in range(7)] == ["220", "250", "250", "250", "354", "250", "221"]
        (stored,) = await server.inbox("alice@example.com")
        assert stored.endswith(b"\r\n.dot\r\n")


async def test_disconnect_in_data_delivers_nothing() -> None:
    async with serving() as server:
        async with server.client() as client:
            await client.hello()
            for line in ("MAIL FROM:<>", "RCPT TO:<alice@example.com>", "DATA"):
                await client.say(line)
            client.send(MAIL)
            await client.writer.drain()
        await gone(server.services.connections)
        assert await server.inbox("alice@example.com") == []
        assert server.services.budget.used == 0


async def test_too_many_errors() -> None:
    async with serving(smtp={"max_errors": 3}) as server, server.client() as client:
        await client.hello()
        replies = [await client.say("BOGUS") for _ in range(4)]
        assert replies == ["500 5.5.2 Command is not known"] * 4
        assert await client.reply() == "421 4.7.0 Too many errors, closing"
        assert await client.closed()


async def test_too_many_unknown_recipients() -> None:
    async with serving(smtp={"max_refused_recipients": 2}) as server, server.client() as client:
        await client.hello()
        await client.say("MAIL FROM:<>")
        for name in "abc":
            assert await client.say(f"RCPT TO:<{name}@example.com>") == "550 5.1.1 No such user here"
        assert await client.reply() == "421 4.7.0 Too many errors, closing"


async def test_too_many_idle_commands() -> None:
    async with serving(smtp={"max_idle_commands": 5, "max_recipients": 100}) as server, server.client() as client:
        await client.hello()
        client.send(b"NOOP\r\n" * 200)
        replies = [await client.reply() for _ in range(110)]
        assert "421 4.7.0 Too many commands without a message, closing" in replies


async def test_command_timeout() -> None:
    async with serving(smtp={"command_timeout": 0.2}) as server, server.client() as client:
        await client.hello()
        client.send(b"MAIL FR")
        assert await client.reply() == "421 4.4.2 Timed out, closing"
        assert await client.closed()


async def test_slow_data_is_cut() -> None:
    async with serving(smtp={"data_timeout": 0.2, "min_data_rate": 1000}) as server, server.client() as client:
        await client.hello()
        for line in ("MAIL FROM:<>", "RCPT TO:<alice@example.com>", "DATA"):
            await client.say(line)
        sender = asyncio.create_task(trickle(client))
        assert await client.reply() == "421 4.4.2 Timed out, closing"
        sender.cancel()


async def trickle(client: Client) -> None:
    while True:
        client.send(b"x")
        await asyncio.sleep(0.02)


async def test_too_many_connections() -> None:
    async with serving(max_connections_per_address=1) as server, server.client() as first, server.client() as second:
        assert (await first.reply()).startswith("220 ")
        assert (await second.reply()).startswith("421 4.7.0 mx.example.com too many connections from this address")
        assert await second.closed()


async def test_drain_when_idle() -> None:
    async with serving() as server, server.client() as client:
        await client.hello()
        server.services.connections.drain()
        assert await client.reply() == "421 4.3.2 Server is stopping, connect again"
        assert await client.closed()


async def test_drain_lets_a_message_finish() -> None:
    async with serving() as server, server.client() as client:
        await client.hello()
        for line in ("MAIL FROM:<>", "RCPT TO:<alice@example.com>", "DATA"):
            await client.say(line)
        server.services.connections.drain()
        assert (await client.say(MAIL + b".")).startswith("250")
        assert await client.reply() == "421 4.3.2 Server is stopping, connect again"
        assert await client.closed()
        assert len(await server.inbox("alice@example.com")) == 1


async def test_revoked_user() -> None:
    async with serving("submission") as server, server.client() as client:
        await client.hello()
        assert (await client.say(f"AUTH PLAIN {plain('alice@example.com', PASSWORD)}")).startswith("235")
        assert server.services.registry.count("alice@example.com") == 1
        (session,) = server.services.registry._sessions["alice@example.com"]
        session.on_revoked()
        assert await client.reply() == "421 4.7.0 The account changed, log in again"
        assert await client.closed()
        await gone(server.services.connections)
        assert len(server.services.registry) == 0


async def gone(connections: object) -> None:
    for _ in range(200):
        if not len(connections):  # type: ignore[arg-type]
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the connection is still there")


async def test_a_client_that_reads_nothing_is_cut() -> None:
    async with serving(smtp={"command_timeout": 0.3}, write_timeout=0.3) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        with contextlib.suppress(ConnectionError, TimeoutError):
            for _ in range(50):
                writer.write(b"EHLO c\r\n" * 10_000)
                await asyncio.wait_for(writer.drain(), 0.1)
        await gone(server.services.connections)
        writer.close()
