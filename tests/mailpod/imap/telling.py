"""NOTIFY in tests: `told` are the responses that come without a command."""

from __future__ import annotations

from tests.mailpod.imap.dialogue import Client

MESSAGES = b"(MessageNew MessageExpunge)"
FLAGS = b"(MessageNew MessageExpunge FlagChange)"


async def told(client: Client, count: int) -> list[bytes]:
    return [await client.line() for _ in range(count)]


async def nothing_more(client: Client) -> None:
    assert await client.ok(b"NOOP") == []
