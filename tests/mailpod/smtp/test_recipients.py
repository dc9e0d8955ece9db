"""Who may get mail, as RCPT answers."""

from __future__ import annotations

from typing import Literal

import pytest
from tests.harness.peer import Peer, running
from tests.harness.zone import Zone
from tests.mailpod.smtp.server import PASSWORD, plain, serving

MAIL = b"Subject: x\r\n\r\nbody\r\n"


@pytest.mark.parametrize(
    ("address", "reply"),
    [
        ("alice@example.com", "250 2.1.5 OK"),
        ('"alice"@example.com', "250 2.1.5 OK"),
        ("ALICE+shop@Example.Com", "250 2.1.5 OK"),
        ("@relay.example,@other.example:alice@example.com", "250 2.1.5 OK"),
        ("team@example.com", "250 2.1.5 OK"),
        ("postmaster", "250 2.1.5 OK"),
        ("Postmaster", "250 2.1.5 OK"),
        ('"postmaster"', "250 2.1.5 OK"),
        ("abuse@example.com", "250 2.1.5 OK"),
        ("nobody@example.com", "550 5.1.1 No such user here"),
        ("sleepy@example.com", "450 4.2.1 Mailbox is suspended"),
        ("postmaster@small.example", "550 5.1.1 No such user here"),
        ("alice", "501 5.1.3 The recipient needs a domain"),
        ("", "501 5.1.3 The recipient needs a domain"),
        ("alice..b@example.com", "553 5.1.3 Bad address"),
        ("ärger@example.com", "553 5.6.7 This address needs SMTPUTF8"),
    ],
)
async def test_rcpt(address: str, reply: str) -> None:
    async with serving() as server, server.client() as client:
        await client.hello()
        await client.say("MAIL FROM:<>")
        assert await client.say(f"RCPT TO:<{address}>") == reply


@pytest.mark.parametrize(
    "address",
    [
        "victim@far.example",
        "victim%far.example@other.example",
        '"victim@far.example"@other.example',
        "victim@[127.0.0.1]",
        "victim@[IPv6:::1]",
        "victim@mx.example.com",
        "@example.com:victim@far.example",
        "victim@far.example.",
        "alice@example.com@far.example",
        "victim!far.example",
        "far.example!victim@other.example",
        "victim%far.example",
        '"victim%far.example"',
        "victim@far.example@",
        '"alice@example.com"@far.example',
        "victim%far.example@example.com",
        "far.example!victim@example.com",
        '"victim@far.example"@example.com',
        "victim@far.example,alice@example.com",
        "victim@far.example:alice@example.com",
        "VICTIM@FAR.EXAMPLE",
        "victim@Far.Example",
        "victim@xn--bcher-kva.example",
        "victim@bücher.example",
        "victim@far。example",
        "victim@far.example\u200b",
        "victim@example.com.far.example",
        "victim@sub.example.com",
        "victim@example.com.",
        "victim@.example.com",
        "victim@example..com",
        "victim@example",
        "victim@localhost",
        "victim@127.0.0.1",
        "victim@[192.0.2.1]",
        "victim@[IPv6:2001:db8::1]",
        "victim@[example.com]",
        "alice@[127.0.0.1]",
        "@far.example:victim",
        "@far.example:victim@far.example",
        "@example.com,@far.example:victim@far.example",
        "@[127.0.0.1]:victim@far.example",
        '"victim"@far.example',
        '"victim@far.example"',
        '"victim\\@far.example"@example.com',
        '"far.example!victim"@example.com',
        '"victim%far.example"@example.com',
        "far.example!example.com!victim@far.example",
        "far.example!victim%example.com",
        "victim%far.example%example.com@example.com",
        "victim%example.com@far.example",
        "victim(@example.com)@far.example",
        "victim@far.example(@example.com)",
        "victim@far.example;alice@example.com",
        "victim@far.example alice@example.com",
        "victim@far.example@example.com",
        "alice@example.com%far.example",
        "victim/far.example@example.com",
        "victim:far.example@example.com",
        "/etc/passwd@far.example",
        "|cat@far.example",
    ],
)
@pytest.mark.parametrize("role", ["mx", "lmtp", "submission"])
async def test_nobody_is_relayed_for(address: str, role: Literal["mx", "lmtp", "submission"]) -> None:
    async with serving(role, lmtp={"networks": ["127.0.0.1"]}) as server, server.client() as client:
        await client.reply()
        await client.say("LHLO c" if role == "lmtp" else "EHLO c")
        await client.say("MAIL FROM:<alice@example.com> SMTPUTF8")
        for written in (f"<{address}>", address):
            reply = await client.say(f"RCPT TO:{written}")
            assert reply[0] == "5", reply


async def test_utf8_address() -> None:
    async with serving() as server, server.client() as client:
        await client.hello()
        assert await client.say("MAIL FROM:<ß@far.example>") == "553 5.6.7 This address needs SMTPUTF8"
        assert await client.say("MAIL FROM:<ß@far.example> SMTPUTF8") == "250 2.1.0 OK"
        assert await client.say("RCPT TO:<A\u0308RGER@example.com>") == "250 2.1.5 OK"
        await client.say("DATA")
        assert (await client.say(MAIL + b".")).startswith("250")
        (stored,) = await server.inbox("ärger@example.com")
        assert stored.decode().startswith("Return-Path: <ß@far.example>\r\nDelivered-To: ärger@example.com\r\n")
        assert b" with UTF8SMTP\r\n" in stored


async def test_a_user_sends_to_other_domains() -> None:
    async with running(Peer()) as peer, serving("submission", outbound={"port": peer.port}) as server:
        zone = Zone("far.example. MX 10 mx.far.example.", "mx.far.example. A 127.0.0.1")
        server.services.resolver = zone.resolver()
        async with server.client() as client:
            await client.hello()
            await client.say(f"AUTH PLAIN {plain('alice@example.com', PASSWORD)}")
            await client.say("MAIL FROM:<alice@example.com>")
            assert (await client.say("RCPT TO:<friend@[192.0.2.1]>")).startswith("550 5.1.2")
            assert await client.say("RCPT TO:<Friend@FAR.example>") == "250 2.1.5 OK"
            assert await client.say("RCPT TO:<bob@example.com>") == "250 2.1.5 OK"
            await client.say("DATA")
            assert (await client.say(b"From: alice@example.com\r\n\r\nHello.\r\n.")).startswith("250 2.0.0")
        await server.services.spool.idle()
        (taken,) = peer.messages
        assert taken.recipients == ["Friend@far.example"]
        (here,) = await server.inbox("bob@example.com")
        assert here.endswith(taken.data)


async def test_alias_and_primary_are_one_copy() -> None:
    async with serving() as server, server.client() as client:
        await client.hello()
        await client.message(MAIL, "info@example.com", "alice+a@example.com", "alice@example.com")
        assert len(await server.inbox("alice@example.com")) == 1
        assert await server.bucket.list("outbound/") == []


async def test_one_alias_for_several() -> None:
    async with serving() as server, server.client() as client:
        await client.hello()
        await client.message(MAIL, "team@example.com")
        await server.services.spool.idle()
        for address in ("alice@example.com", "bob@example.com"):
            (stored,) = await server.inbox(address)
            assert b" for <team@example.com>;" in stored


@pytest.mark.parametrize(
    ("named", "mailboxes"),
    [
        ("away", {"away", "bob"}),
        ("gone", {"bob", "alice"}),
        ("chain", {"bob", "alice"}),
        ("round", {"round"}),
        ("out", {"out"}),
    ],
)
async def test_forwarding(named: str, mailboxes: set[str]) -> None:
    async with serving() as server, server.client() as client:
        await client.hello()
        assert (await client.message(MAIL, f"{named}@example.com", "info@example.com"))[:3] == "250"
        await server.services.spool.idle()
        for name in ("alice", "bob", "away", "gone", "round", "about", "out", "chain"):
            found = await server.inbox(f"{name}@example.com")
            assert len(found) == (name in mailboxes or name == "alice"), name


async def test_groups_and_what_is_nobody_elses() -> None:
    async with serving() as server, server.client() as client:
        await client.hello()
        assert (await client.message(MAIL, "Staff+x@all.example"))[:3] == "250"
        assert (await client.message(MAIL, "whoever@all.example"))[:3] == "250"
        assert (await client.message(MAIL, "frank@all.example"))[:3] == "250"
        await server.services.spool.idle()
        assert [len(await server.inbox(f"{name}@all.example")) for name in ("erin", "frank")] == [2, 2]


async def test_what_is_caught_is_nobodys_own() -> None:
    """The mailbox that catches all logs in by its own name, and sends as nobody else."""
    async with serving("submission") as server, server.client() as client:
        await client.hello()
        assert (await client.say(f"AUTH PLAIN {plain('whoever@all.example', PASSWORD)}"))[:3] == "535"
        assert (await client.say(f"AUTH PLAIN {plain('erin@all.example', PASSWORD)}"))[:3] == "235"
        for sender in ("whoever", "staff", "frank"):
            assert (await client.say(f"MAIL FROM:<{sender}@all.example>"))[:3] == "553"
        assert (await client.say("MAIL FROM:<erin+x@all.example>"))[:3] == "250"


async def test_full_mailbox() -> None:
    async with serving() as server, server.client() as client:
        await client.hello()
        assert (await client.message(b"\r\n" + b"x" * 1500 + b"\r\n", "full@example.com")).startswith("250")
        assert await client.message(b"\r\n" + b"x" * 1500 + b"\r\n", "full@example.com") == "552 5.2.2 Mailbox is full"
        await client.say("MAIL FROM:<> SIZE=1500")
        assert await client.say("RCPT TO:<full@example.com>") == "552 5.2.2 Mailbox is full"
        assert len(await server.inbox("full@example.com")) == 1


async def test_domain_with_a_smaller_limit() -> None:
    async with serving() as server, server.client() as client:
        await client.hello()
        refused = "552 5.3.4 Message is larger than the limit"
        assert await client.message(b"\r\n" + b"x" * 1000 + b"\r\n", "dave@small.example") == refused
        await client.say("MAIL FROM:<> SIZE=1001")
        assert await client.say("RCPT TO:<dave@small.example>") == refused
        assert await client.say("RCPT TO:<alice@example.com>") == "250 2.1.5 OK"


async def test_too_many_recipients() -> None:
    async with serving(smtp={"max_recipients": 100}) as server, server.client() as client:
        await client.hello()
        await client.say("MAIL FROM:<>")
        for _ in range(100):
            assert (await client.say("RCPT TO:<alice@example.com>")).startswith("250")
        assert await client.say("RCPT TO:<bob@example.com>") == "452 4.5.3 Too many recipients"


async def test_bucket_down() -> None:
    async with serving() as server, server.client() as client:
        await client.hello()
        await client.say("MAIL FROM:<>")
        server.bucket.down = True
        down = "451 4.3.0 Storage is not available just now, try again later"
        assert await client.say("RCPT TO:<alice@example.com>") == down
        server.bucket.down = False
        assert await client.say("RCPT TO:<alice@example.com>") == "250 2.1.5 OK"
