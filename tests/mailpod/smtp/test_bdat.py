"""CHUNKING and BINARYMIME (RFC 3030)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.smtp.server import PASSWORD, Client, serving
from tests.mailpod.smtp.test_recipients import plain

from mailpod.smtp.syntax import SyntaxProblem, parse_chunk

MAIL = b"Subject: x\r\n\r\n.\r\n..\r\nbody\r\n"
ALICE = "alice@example.com"


async def begin(client: Client, *recipients: str, options: str = "") -> None:
    await client.hello()
    await client.say(f"MAIL FROM:<sender@far.example>{options}")
    for recipient in recipients or (ALICE,):
        await client.say(f"RCPT TO:<{recipient}>")


async def chunk(client: Client, data: bytes, last: str = "") -> str:
    client.send(f"BDAT {len(data)}{last}\r\n".encode() + data)
    return await client.reply()


async def test_one_chunk_and_nothing_is_unstuffed() -> None:
    async with serving() as server, server.client() as client:
        assert {"CHUNKING", "BINARYMIME"} <= set((await client.hello()).split("\n"))
        await client.say("MAIL FROM:<>")
        await client.say(f"RCPT TO:<{ALICE}>")
        assert (await chunk(client, MAIL, " LAST")).startswith("250 2.0.0 OK, queued as ")
        (stored,) = await server.inbox(ALICE)
        assert stored.endswith(b"\r\n" + MAIL)
        assert server.services.budget.used == 0


async def test_several_chunks_pipelined_with_the_next_message() -> None:
    async with serving() as server, server.client() as client:
        await begin(client)
        client.send(
            b"BDAT 10\r\n" + MAIL[:10] + b"BDAT 0\r\nbdat %d\r\n" % len(MAIL[10:]) + MAIL[10:] + b"BDAT 0 last\r\n"
        )
        client.send(f"MAIL FROM:<>\r\nRCPT TO:<{ALICE}>\r\nBDAT 4 LAST\r\n\r\nx\nQUIT\r\n".encode())
        replies = [await client.reply() for _ in range(8)]
        assert replies[:3] == [
            "250 2.0.0 10 octets received",
            "250 2.0.0 0 octets received",
            "250 2.0.0 17 octets received",
        ]
        assert [reply[:3] for reply in replies[3:]] == ["250", "250", "250", "550", "221"]
        (stored,) = await server.inbox(ALICE)
        assert stored.endswith(b"\r\n" + MAIL)


async def test_commands_inside_a_chunk_are_text() -> None:
    inner = b"\r\n.\r\nRSET\r\nMAIL FROM:<ceo@example.com>\r\nRCPT TO:<bob@example.com>\r\nBDAT 3 LAST\r\nxyz"
    async with serving() as server, server.client() as client:
        await begin(client)
        assert (await chunk(client, inner, " LAST"))[:3] == "250"
        assert await client.say("NOOP") == "250 2.0.0 OK"
        assert await server.inbox("bob@example.com") == []
        assert len(await server.inbox(ALICE)) == 1


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ([], "503 5.5.1 Send EHLO first"),
        (["EHLO c"], "503 5.5.1 Need MAIL and RCPT first"),
        (["EHLO c", "MAIL FROM:<>"], "554 5.5.1 No valid recipients"),
        (["EHLO c", "MAIL FROM:<>", "RCPT TO:<nobody@example.com>"], "554 5.5.1 No valid recipients"),
    ],
)
async def test_a_chunk_that_is_not_wanted_is_no_command(said: list[str], reply: str) -> None:
    async with serving() as server, server.client() as client:
        await client.reply()
        for line in said:
            await client.say(line)
        assert await chunk(client, b"QUIT\r\nQUIT\r\n", " LAST") == reply
        assert await client.say("NOOP") == "250 2.0.0 OK"


async def test_before_authentication_a_chunk_is_read_and_refused() -> None:
    async with serving("submission") as server, server.client() as client:
        extensions = (await client.hello()).split("\n")
        assert "CHUNKING" in extensions and "BINARYMIME" not in extensions
        assert await chunk(client, b"QUIT\r\n", " LAST") == "530 5.7.0 Authentication required"
        assert (await client.say(f"AUTH PLAIN {plain(ALICE, PASSWORD)}")).startswith("235")
        assert (await client.say("MAIL FROM:<alice@example.com> BODY=BINARYMIME"))[:3] == "501"


async def test_between_chunks() -> None:
    async with serving() as server, server.client() as client:
        await begin(client)
        assert (await chunk(client, MAIL))[:3] == "250"
        for line in ("DATA", "RCPT TO:<bob@example.com>", "MAIL FROM:<>", "STARTTLS"):
            assert (await client.say(line))[:3] == "503"
        assert await client.say("RSET") == "250 2.0.0 OK"
        assert server.services.budget.used == 0
        assert await chunk(client, b"", " LAST") == "503 5.5.1 Need MAIL and RCPT first"
        assert await server.inbox(ALICE) == []


async def test_after_a_refused_chunk_the_message_is_refused() -> None:
    async with serving(smtp={"max_message_bytes": 1000}) as server, server.client() as client:
        await begin(client)
        assert (await chunk(client, MAIL))[:3] == "250"
        assert await chunk(client, bytes(1000)) == "552 5.3.4 Message is larger than the limit"
        assert server.services.budget.used == 0
        assert await chunk(client, b"x") == "503 5.5.1 An earlier chunk was refused, send RSET"
        assert await chunk(client, b"x", " LAST") == "503 5.5.1 An earlier chunk was refused, send RSET"
        assert (await client.message(b"\r\nshort\r\n", ALICE))[:3] == "250"
        assert len(await server.inbox(ALICE)) == 1


async def test_budget() -> None:
    async with serving(message_budget_bytes=5000) as server, server.client() as client:
        await begin(client)
        assert (await chunk(client, bytes(4000)))[:3] == "250"
        assert server.services.budget.used == 4000
        assert await chunk(client, bytes(2000)) == "452 4.3.1 Server is busy, try again later"
        assert server.services.budget.used == 0


async def test_more_than_will_be_read_closes() -> None:
    async with serving(smtp={"max_message_bytes": 1000}) as server, server.client() as client:
        await begin(client)
        assert await client.say("BDAT 18446744073709551616") == "552 5.3.4 Message is larger than the limit"
        assert await client.closed()


@pytest.mark.parametrize("argument", ["x", "-1", "+1", "1 FIRST", "1 LAST x", "0x10", "1" * 21, "١"])
async def test_a_count_that_cannot_be_read_closes(argument: str) -> None:
    async with serving() as server, server.client() as client:
        await begin(client)
        assert await client.say(f"BDAT {argument}") == "521 5.5.4 Syntax: BDAT <octets> [LAST], closing"
        assert await client.closed()


async def test_a_slow_message_is_cut_however_small_its_chunks() -> None:
    limits = {"data_timeout": 0.3, "min_data_rate": 10**9, "max_idle_commands": 10**9}
    async with serving(smtp=limits) as server, server.client() as client:
        await begin(client)
        heard = "250"
        while heard.startswith("250"):
            heard = await chunk(client, b"x")
        assert heard == "421 4.4.2 Timed out, closing"


async def test_many_chunks_of_some_size_are_no_idling() -> None:
    async with serving(smtp={"max_idle_commands": 5, "max_recipients": 100}) as server, server.client() as client:
        await begin(client)
        for _ in range(150):
            assert (await chunk(client, b"x" * 1022 + b"\r\n"))[:3] == "250"
        assert (await chunk(client, b"", " LAST"))[:3] == "250"


async def test_binary() -> None:
    binary = b"Content-Transfer-Encoding: binary\r\n\r\n\x00\r\n.\r\n\n\r\xff"
    async with serving() as server, server.client() as client:
        await begin(client, options=" BODY=BINARYMIME")
        assert await client.say("DATA") == "503 5.5.1 BODY=BINARYMIME needs BDAT"
        assert (await chunk(client, binary, " LAST"))[:3] == "250"
        (stored,) = await server.inbox(ALICE)
        assert stored.endswith(b"\r\n" + binary)


@given(st.text(max_size=30) | st.from_regex(r"[0-9]{1,20}( LAST)?", fullmatch=True))
def test_any_argument(argument: str) -> None:
    try:
        size, last = parse_chunk(argument)
    except SyntaxProblem as problem:
        assert problem.reply.startswith("501 ")
    else:
        assert 0 <= size < 10**20
        assert last is argument.upper().endswith("LAST")
