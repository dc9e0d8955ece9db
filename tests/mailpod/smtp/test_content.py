"""What a message may hold: SMTP smuggling, dots, odd bytes, sizes, and the budget for bytes in flight."""

from __future__ import annotations

import hashlib
import random

import pytest
from tests.mailpod.smtp.server import serving

ALICE = "alice@example.com"
SMUGGLED = b"MAIL FROM:<admin@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\nsmuggled\r\n.\r\n"


@pytest.mark.parametrize(
    "end",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r",
        b"\r.\r\n",
        b"\r\n.\r",
        b"\r\r\n.\r\r\n",
        b"\n\r.\r\n",
        b"\r\n\0.\r\n",
        b"\r\n.\0\r\n",
        b"\r\n. \r\n",
        b"\x85.\x85",
    ],
)
async def test_smuggling(end: bytes) -> None:
    """Only CRLF.CRLF ends a message; what looks like one to a lax server stays inside, and is refused where it has a
    bare CR or LF."""
    async with serving() as server, server.client() as client:
        await client.hello()
        reply = await client.message(b"one\r\n" + end + SMUGGLED[: -len(b".\r\n")], ALICE)
        bare = b"\n" in end.replace(b"\r\n", b"") or b"\r" in end.replace(b"\r\n", b"")
        assert reply[:10] == ("550 5.6.11" if bare else "250 2.0.0 ")
        assert await client.say("NOOP") == "250 2.0.0 OK"  # nothing else was answered
        assert await server.inbox("bob@example.com") == []
        assert len(await server.inbox(ALICE)) == (0 if bare else 1)


async def test_bare_newlines_normalized_by_setting() -> None:
    async with serving(smtp={"bare_newlines": "normalize"}) as server, server.client() as client:
        await client.hello()
        assert (await client.message(b"a\nb\rc\r\n\n.\n" + b"d\r\n", ALICE)).startswith("250")
        (stored,) = await server.inbox(ALICE)
        assert stored.endswith(b"\r\na\r\nb\r\nc\r\n\r\n.\r\nd\r\n")


@pytest.mark.parametrize("line", [b"NOOP\nNOOP\r\n", b"NOOP\n", b"NOOP\r\r\n", b"EHLO a\rb\r\n"])
async def test_bare_newline_in_a_command(line: bytes) -> None:
    async with serving() as server, server.client() as client:
        await client.hello()
        client.send(line + b"NOOP\r\n")
        assert await client.reply() == "521 5.5.2 A line ends with CRLF and has no other CR or LF, closing"
        assert await client.closed()


async def test_nul_in_a_command() -> None:
    async with serving() as server, server.client() as client:
        await client.hello()
        assert await client.say(b"MAIL FROM:<a\0@b>") == "501 5.5.4 Argument has a control character in it"


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (b"", b""),
        (b"\r\n", b"\r\n"),
        (b"..\r\n", b".\r\n"),
        (b"...\r\na\r\n..b\r\n", b"..\r\na\r\n.b\r\n"),
        (b".a\r\n", b"a\r\n"),
        (b"no header, no blank line\r\n", b"no header, no blank line\r\n"),
        (b"A: b\r\n\r\n" + bytes(range(32, 256)) + b"\r\n", b"A: b\r\n\r\n" + bytes(range(32, 256)) + b"\r\n"),
        (b"A: \0\x01\x7f\r\n", b"A: \0\x01\x7f\r\n"),
        (b"x" * 100_000 + b"\r\n", b"x" * 100_000 + b"\r\n"),
    ],
)
async def test_content_arrives_byte_for_byte(sent: bytes, stored: bytes) -> None:
    async with serving() as server, server.client() as client:
        await client.hello()
        assert (await client.message(sent, ALICE)).startswith("250")
        (found,) = await server.inbox(ALICE)
        received, _, content = found.partition(b" +0000\r\n")
        assert received.startswith(b"Return-Path: ")
        assert content == stored


async def test_25_megabytes() -> None:
    lines = random.Random(1).randbytes(25 * 2**20).hex().encode()[: 25 * 2**20]
    content = b"Subject: large\r\n\r\n" + b"\r\n".join(lines[n : n + 998] for n in range(0, len(lines), 998)) + b"\r\n"
    async with serving() as server, server.client() as client:
        await client.hello()
        assert (await client.message(content, ALICE)).startswith("250")
        (stored,) = await server.inbox(ALICE)
        assert hashlib.sha256(stored[-len(content) :]).digest() == hashlib.sha256(content).digest()
        assert server.services.budget.used == 0


@pytest.mark.parametrize(("octets", "code"), [(999, "250"), (1000, "250"), (1001, "552"), (12000, "552")])
async def test_the_limit_is_exact(octets: int, code: str) -> None:
    async with serving(smtp={"max_message_bytes": 1000}) as server, server.client() as client:
        await client.hello()
        content = b"\r\n" * 100 + b"x" * (octets - 202) + b"\r\n"
        reply = await client.message(content, ALICE)
        assert reply.startswith(code), reply
        assert code == "250" or reply == "552 5.3.4 Message is larger than the limit"
        assert await client.say("NOOP") == "250 2.0.0 OK"


async def test_stuffed_dots_do_not_count() -> None:
    async with serving(smtp={"max_message_bytes": 900}) as server, server.client() as client:
        await client.hello()
        assert (await client.message(b"..\r\n" * 300, ALICE)).startswith("250")
        assert (await client.message(b"..\r\n" * 301, ALICE)).startswith("552")


async def test_a_message_without_end_is_cut() -> None:
    async with serving(smtp={"max_message_bytes": 1000}) as server, server.client() as client:
        await client.hello()
        for line in ("MAIL FROM:<>", f"RCPT TO:<{ALICE}>", "DATA"):
            await client.say(line)
        client.send(b"x" * 998 + b"\r\n")
        for _ in range(100):
            client.send(b"x" * 998 + b"\r\n")
            try:
                await client.writer.drain()
            except ConnectionError:
                return
        assert await client.reply() == "552 5.3.4 Message is larger than the limit"
        assert await client.closed()


async def test_over_the_budget() -> None:
    async with serving(message_budget_bytes=200_000) as server, server.client() as client, server.client() as other:
        await client.hello()
        await other.hello()
        for line in ("MAIL FROM:<> SIZE=150000", f"RCPT TO:<{ALICE}>", "DATA"):
            last = await client.say(line)
        assert last.startswith("354")
        busy = "452 4.3.1 Server is busy, try again later"
        assert await other.message(b"x\r\n", ALICE) == busy
        assert await other.say("RSET") == "250 2.0.0 OK"
        client.send(b"x" * 100_000 + b"\r\n.\r\n")
        assert (await client.reply()).startswith("250")
        assert server.services.budget.used == 0
        assert (await other.message(b"x\r\n", ALICE)).startswith("250")


async def test_over_the_budget_while_reading() -> None:
    async with serving(message_budget_bytes=200_000) as server, server.client() as client, server.client() as other:
        await client.hello()
        await other.hello()
        for line in ("MAIL FROM:<>", f"RCPT TO:<{ALICE}>", "DATA"):
            await client.say(line)
            await other.say(line)
        client.send(b"x" * 190_000 + b"\r\n.\r\n")
        assert await client.reply() == "452 4.3.1 Server is busy, try again later"
        assert (await other.say(b"x\r\n.")).startswith("250")
        assert server.services.budget.used == 0


async def test_loop() -> None:
    async with serving(smtp={"max_received": 30}) as server, server.client() as client:
        await client.hello()
        hop = b"Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n"
        assert (await client.message(hop * 29 + b"\r\n" + hop * 100, ALICE)).startswith("250")
        loop = "554 5.4.6 Too many Received fields, this is a loop"
        assert await client.message(hop * 30 + b"\r\nbody\r\n", ALICE) == loop


async def test_an_ehlo_name_cannot_forge_a_header() -> None:
    async with serving() as server, server.client() as client:
        await client.reply()
        await client.say("EHLO evil) by <x>;é")
        await client.message(b"x\r\n", ALICE)
        (stored,) = await server.inbox(ALICE)
        assert b"Received: from evil??by??x??? ([127.0.0.1])\r\n" in stored


async def test_bucket_down_at_the_final_dot() -> None:
    async with serving(store={"commit_deadline": 0.3}) as server, server.client() as client:
        await client.hello()
        for line in ("MAIL FROM:<>", f"RCPT TO:<{ALICE}>", "DATA"):
            await client.say(line)
        server.bucket.down = True
        assert (await client.say(b"x\r\n.")).startswith("451 4.3.0 ")
        server.bucket.down = False
        assert (await client.message(b"x\r\n", ALICE)).startswith("250")
