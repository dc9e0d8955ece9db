"""LMTP (RFC 2033): a reply a recipient, each when its own mail is durable."""

from __future__ import annotations

import pytest
from tests.mailpod.smtp.server import Client, Server, serving

from mailpod.config import ConfigError, parse

MAIL = b"Subject: x\r\n\r\nbody\r\n"
HERE = {"networks": ["127.0.0.0/8"]}


async def hello(client: Client) -> str:
    assert await client.reply() == "220 mx.example.com LMTP Mailpod"
    return await client.say("LHLO relay.example")


async def hand_over(client: Client, *recipients: str, content: bytes = MAIL) -> list[str]:
    """A transaction to recipients that are all accepted; the replies to its end."""
    assert (await client.say("MAIL FROM:<sender@far.example>"))[:3] == "250"
    for recipient in recipients:
        assert await client.say(f"RCPT TO:<{recipient}>") == "250 2.1.5 OK"
    assert (await client.say("DATA"))[:3] == "354"
    client.send(content + b".\r\n")
    return [await client.reply() for _ in recipients]


async def spare(server: Server, address: str) -> int:
    return len(await server.inbox(address))


async def test_hello() -> None:
    async with serving("lmtp", lmtp=HERE) as server, server.client() as client:
        extensions = (await hello(client)).split("\n")
        assert {"PIPELINING", "ENHANCEDSTATUSCODES", "CHUNKING", "BINARYMIME"} <= set(extensions)
        assert not any(extension.startswith("AUTH") for extension in extensions)
        for line in ("EHLO c", "HELO c", "AUTH PLAIN"):
            assert await client.say(line) == "500 5.5.2 Command is not known"


async def test_smtp_knows_no_lhlo() -> None:
    async with serving() as server, server.client() as client:
        await client.reply()
        assert await client.say("LHLO c") == "500 5.5.2 Command is not known"


async def test_each_recipient_has_its_reply() -> None:
    big = b"Subject: x\r\n\r\n" + b"x" * 1990 + b"\r\n"
    async with serving("lmtp", lmtp=HERE) as server, server.client() as client:
        await hello(client)
        await client.say("MAIL FROM:<>")
        replies = [await client.say(f"RCPT TO:<{name}@example.com>") for name in ("alice", "nobody", "full", "bob")]
        assert [reply[:9] for reply in replies] == ["250 2.1.5", "550 5.1.1", "250 2.1.5", "250 2.1.5"]
        await client.say("DATA")
        client.send(big + b".\r\n")
        replies = [await client.reply() for _ in range(3)]
        assert [reply[:9] for reply in replies] == ["250 2.1.5", "552 5.2.2", "250 2.1.5"]
        (stored,) = await server.inbox("alice@example.com")
        assert b" with LMTP\r\n" in stored
        assert [await spare(server, f"{name}@example.com") for name in ("full", "bob")] == [0, 1]
        assert server.services.budget.used == 0
        assert await client.say("NOOP") == "250 2.0.0 OK"


async def test_the_same_mailbox_by_several_names_is_one_copy_and_several_replies() -> None:
    async with serving("lmtp", lmtp=HERE) as server, server.client() as client:
        await hello(client)
        names = ("info@example.com", "alice+a@example.com", "alice@example.com", "alice@example.com")
        replies = await hand_over(client, *names)
        assert [reply[:9] for reply in replies] == ["250 2.1.5"] * 4
        assert await spare(server, "alice@example.com") == 1


async def test_an_address_for_several_is_one_reply() -> None:
    async with serving("lmtp", lmtp=HERE) as server, server.client() as client:
        await hello(client)
        assert [reply[:3] for reply in await hand_over(client, "team@example.com")] == ["250"]
        await server.services.spool.idle()
        assert [await spare(server, f"{name}@example.com") for name in ("alice", "bob")] == [1, 1]


async def test_nothing_is_acknowledged_with_the_bucket_down() -> None:
    async with serving("lmtp", lmtp=HERE) as server, server.client() as client:
        await hello(client)
        await client.say("MAIL FROM:<>")
        for name in ("alice", "team"):
            await client.say(f"RCPT TO:<{name}@example.com>")
        await client.say("DATA")
        server.bucket.down = True
        client.send(MAIL + b".\r\n")
        assert [(await client.reply())[:9] for _ in range(2)] == ["451 4.3.0", "451 4.3.0"]


async def test_chunks() -> None:
    async with serving("lmtp", lmtp=HERE) as server, server.client() as client:
        await hello(client)
        client.send(b"MAIL FROM:<>\r\nRCPT TO:<alice@example.com>\r\nRCPT TO:<bob@example.com>\r\n")
        client.send(b"BDAT 14\r\nSubject: x\r\n\r\nBDAT 3 LAST\r\nx\r\n")
        assert [(await client.reply())[:3] for _ in range(6)] == ["250"] * 6
        assert await spare(server, "bob@example.com") == 1


async def test_a_refused_message_is_refused_for_each() -> None:
    async with serving("lmtp", lmtp=HERE, smtp={"max_message_bytes": 100}) as server, server.client() as client:
        await hello(client)
        replies = await hand_over(client, "alice@example.com", "bob@example.com", content=b"x" * 200 + b"\r\n")
        assert replies == ["552 5.3.4 Message is larger than the limit"] * 2
        await client.say("MAIL FROM:<>")
        assert await client.say("DATA") == "503 5.5.1 No valid recipients"
        client.send(
            b"RSET\r\nMAIL FROM:<>\r\nRCPT TO:<alice@example.com>\r\nRCPT TO:<bob@example.com>\r\nBDAT 200 LAST\r\n"
            + bytes(200)
        )
        assert [(await client.reply())[:3] for _ in range(6)] == ["250", "250", "250", "250", "552", "552"]


async def test_nobody_relays() -> None:
    async with serving("lmtp", lmtp=HERE) as server, server.client() as client:
        await hello(client)
        await client.say("MAIL FROM:<>")
        assert (await client.say("RCPT TO:<victim@far.example>"))[:9] == "550 5.7.1"


async def test_a_stranger_is_not_greeted() -> None:
    async with serving("lmtp", lmtp={"networks": ["192.0.2.0/24"]}) as server, server.client() as client:
        assert (await client.reply())[:9] == "421 4.7.0"
        assert await client.closed()


def test_settings_name_who_may() -> None:
    with pytest.raises(ConfigError, match="who may hand over"):
        parse('{"bucket": {"url": "memory:"}, "listeners": [{"protocol": "lmtp", "port": 1}]}')
