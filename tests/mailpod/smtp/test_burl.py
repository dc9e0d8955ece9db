"""BURL (RFC 4468), by the URLs that GENURLAUTH makes (RFC 4467)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.imap.dialogue import end_world, make_world
from tests.mailpod.smtp.server import PASSWORD, Client, Server, plain, serving

from mailpod.auth import urlauth
from mailpod.imap.urlopener import UrlOpener
from mailpod.smtp.server import make_smtp
from mailpod.smtp.syntax import SyntaxProblem, parse_url
from mailpod.store import NewMessage

ALICE, BOB = "alice@example.com", "bob@example.com"
LETTER = (
    b"From: alice@example.com\r\nBcc: carol@example.com\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed;"
    b" boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: image/png\r\n\r\nPNG\r\n.\r\n--b--\r\n"
)
HERE = "imap://alice%40example.com@mx.example.com"
FAILED = "554 5.6.6 The URL opens no message or part of one"
UNTRUSTED = "554 5.7.14 The URL is not one of this server, or it is not for you to submit"


@asynccontextmanager
async def submitting(letter: bytes = LETTER, **settings: Any) -> AsyncIterator[tuple[Server, Client]]:
    """Alice, logged in, whose Drafts has `letter` with the UID 1."""
    async with serving("submission", **settings) as server, server.client() as client:
        server.services.urls = UrlOpener(server.services)
        await (await account(server)).append("Drafts", [NewMessage(letter)])
        await client.hello()
        await client.say(f"AUTH PLAIN {plain(ALICE, PASSWORD)}")
        yield server, client


async def account(server: Server) -> Any:
    entry = await server.services.directory.lookup(ALICE)
    assert entry is not None
    return await server.services.store.open(await server.services.directory.account(entry))


async def url(server: Server, part: str = "", access: str = "submit+alice%40example.com", here: str = HERE) -> str:
    """As GENURLAUTH makes them."""
    [key] = await (await account(server)).url_keys.of(["Drafts"])
    rump = f"{here}/Drafts/;UID=1{part};URLAUTH={access}"
    return urlauth.authorized(urlauth.parse(rump.encode()), key).decode()


async def begin(client: Client, *recipients: str) -> None:
    await client.say(f"MAIL FROM:<{ALICE}>")
    for recipient in recipients or (BOB,):
        await client.say(f"RCPT TO:<{recipient}>")


async def test_offered_to_who_may_log_in_and_who_did() -> None:
    async with submitting() as (server, client):
        assert "BURL imap" in (await client.say("EHLO x")).split("\n")
        async with server.client() as stranger:
            assert "BURL imap" in (await stranger.hello()).split("\n")
            assert await stranger.say(f"BURL {await url(server)} LAST") == "530 5.7.0 Authentication required"


@pytest.mark.parametrize("role", ["mx", "lmtp"])
async def test_not_offered_elsewhere(role: Any) -> None:
    async with serving(role, lmtp={"networks": ["127.0.0.1/32"]}) as server, server.client() as client:
        server.services.urls = UrlOpener(server.services)
        await client.reply()
        assert "BURL" not in await client.say(f"{'LHLO' if role == 'lmtp' else 'EHLO'} x")
        assert "BURL" not in await client.say("HELP")
        assert await client.say("BURL imap://x LAST") == "500 5.5.2 Command is not known"


async def test_a_draft_is_sent_from_where_it_lies() -> None:
    """RFC 4468 §3.2, in one round trip; as by DATA, Bcc goes."""
    async with submitting() as (server, client):
        client.send(f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\nBURL {await url(server)} LAST\r\nNOOP\r\n".encode())
        replies = [await client.reply() for _ in range(4)]
        assert [reply[:3] for reply in replies] == ["250"] * 4 and replies[2].startswith("250 2.0.0 OK, queued as ")
        (stored,) = await server.inbox(BOB)
        assert stored.endswith(LETTER.replace(b"Bcc: carol@example.com\r\n", b""))
        assert server.services.budget.used == 0


async def test_among_chunks_and_in_any_order() -> None:
    """RFC 4468 §3.2 with CHUNKING: what is fetched stands as it is, dots too."""
    async with submitting() as (server, client):
        await begin(client)
        image = await url(server, "/;SECTION=2")
        head, tail = b"From: alice@example.com\r\n\r\n", b"\r\nend\r\n"
        client.send(b"BDAT %d\r\n%b" % (len(head), head))
        client.send(f"BURL {image}\r\nburl {await url(server, '/;SECTION=2/;PARTIAL=0.3')}\r\n".encode())
        client.send(b"BDAT %d LAST\r\n%b" % (len(tail), tail))
        assert [await client.reply() for _ in range(3)] == [
            f"250 2.0.0 {len(head)} octets received",
            *["250 2.5.0 Waiting for additional BURL or BDAT commands"] * 2,
        ]
        assert (await client.reply()).startswith("250 2.0.0 OK, queued as ")
        (stored,) = await server.inbox(BOB)
        assert stored.endswith(b"\r\n\r\nPNG\r\n.PNG\r\nend\r\n")
        await begin(client)
        assert (await client.say(f"BURL {await url(server, '/;SECTION=HEADER')}")).startswith("250 2.5.0 ")
        assert (await client.say(f"BURL {await url(server, '/;SECTION=TEXT')} last")).startswith("250 2.0.0 OK")
        assert len(await server.inbox(BOB)) == 2


async def test_for_whom_it_is() -> None:
    """RFC 4467 §3: `submit+` and the user who logged in; and what that user may fetch."""
    async with submitting() as (server, client):
        for access, reply in (
            ("submit+ALICE%40example.com", "250"),
            ("user+alice%40example.com", "250"),
            ("authuser", "250"),
            ("anonymous", "250"),
            ("submit+bob%40example.com", UNTRUSTED),
            ("user+bob%40example.com", UNTRUSTED),
            ("submit+alice", UNTRUSTED),
            ("submit+alice%40example.com;EXPIRE=1970-01-01T00:00:00Z", FAILED),
        ):
            await begin(client)
            made = (
                await url(server, access=access) if "EXPIRE" not in access else f"{HERE}/Drafts/;UID=1;URLAUTH={access}"
            )
            assert (await client.say(f"BURL {made} LAST")).startswith(reply), access
        await begin(client)
        late = await url(server, ";EXPIRE=2001-01-01T00:00:00Z")
        assert await client.say(f"BURL {late} LAST") == UNTRUSTED
        elsewhere = await url(server, here="imap://alice%40example.com@mx.example.org")
        await begin(client)
        assert await client.say(f"BURL {elsewhere} LAST") == UNTRUSTED


async def test_anothers_message_that_is_for_one_to_send() -> None:
    """Bob's submission, of what Alice authorized for it; the From is still his."""
    async with submitting(b"Subject: x\r\n\r\nbody\r\n") as (server, alice), server.client() as client:
        await client.hello()
        await client.say(f"AUTH PLAIN {plain(BOB, PASSWORD)}")
        await client.say(f"MAIL FROM:<{BOB}>")
        await client.say(f"RCPT TO:<{ALICE}>")
        for_bob = await url(server, access="submit+bob%40example.com")
        assert (await client.say(f"BURL {for_bob} LAST")).startswith("250 2.0.0 OK")
        (stored,) = await server.inbox(ALICE)
        assert b"\r\nFrom: <bob@example.com>\r\n" in stored and stored.endswith(b"Subject: x\r\n\r\nbody\r\n")
        await begin(alice)
        assert await alice.say(f"BURL {for_bob} LAST") == UNTRUSTED


async def test_what_opens_nothing() -> None:
    """RFC 4468 §3.2: the transaction fails with it."""
    async with submitting() as (server, client):
        good = await url(server)
        await (await account(server)).url_keys.reset("Drafts")
        for wrong in (
            good,
            good[:-1],
            await url(server, "/;SECTION=9"),
            (await url(server)).replace("UID=1", "UID=2"),
            f"{HERE}/Drafts/;UID=1",
            "http://example.com/",
            "x",
        ):
            await begin(client)
            assert await client.say(f"BURL {wrong} LAST") == FAILED, wrong
            assert (await client.say("RCPT TO:<bob@example.com>"))[:3] == "503", "the transaction is over"
        await begin(client)
        assert await client.say("BURL x") == FAILED
        assert await client.say(f"BURL {await url(server)} LAST") == "503 5.5.1 An earlier chunk was refused, send RSET"
        assert await server.inbox(BOB) == []
        assert server.services.budget.used == 0


async def test_no_url_is_looked_at_in_vain() -> None:
    """RFC 4468 §3.2: not without a recipient; the next transaction begins in between."""
    async with submitting() as (server, client):
        link = await url(server)
        server.bucket.down = True
        assert await client.say(f"BURL {link} LAST") == "503 5.5.1 Need MAIL and RCPT first"
        await client.say("MAIL FROM:<>")
        assert await client.say(f"BURL {link} LAST") == "554 5.5.1 No valid recipients"
        assert await client.say("RSET") == "250 2.0.0 OK"
        server.bucket.down = False
        await begin(client)
        for wrong in ("BURL", "BURL x y", "BURL x LAST y", "BURL ü LAST"):
            assert (await client.say(wrong)).startswith("501 5.5.4 "), wrong
        assert (await client.say(f"BURL {link} LAST")).startswith("250 ")


async def test_away_for_a_while() -> None:
    async with submitting() as (server, client):
        link = await url(server)
        await begin(client)
        server.bucket.down = True
        assert (await client.say(f"BURL {link} LAST")).startswith("451 4.3.0 ")
        server.bucket.down = False
        await begin(client)
        assert (await client.say(f"BURL {link} LAST")).startswith("250 ")


async def test_the_whole_is_no_larger_than_by_data() -> None:
    limit = len(LETTER)
    async with submitting(smtp={"max_message_bytes": limit}) as (server, client):
        await begin(client)
        assert (await client.say(f"BURL {await url(server)} LAST")).startswith("250 ")
        await begin(client)
        client.send(b"BDAT 1\r\nx")
        assert (await client.reply()).startswith("250 ")
        assert await client.say(f"BURL {await url(server)} LAST") == "552 5.3.4 Message is larger than the limit"
        assert server.services.budget.used == 0


async def test_octets_are_of_the_budget() -> None:
    async with submitting(message_budget_bytes=5000) as (server, client):
        await begin(client)
        assert server.services.budget.try_take(5000)
        assert await client.say(f"BURL {await url(server)} LAST") == "452 4.3.1 Server is busy, try again later"
        server.services.budget.give(5000)
        await begin(client)
        assert (await client.say(f"BURL {await url(server)}")).startswith("250 ")
        assert server.services.budget.used == len(LETTER)
        await client.say("RSET")
        assert server.services.budget.used == 0


async def test_what_a_user_may_not_write_by_data_goes_by_no_url() -> None:
    async with submitting(b"From: bob@example.com\r\n\r\nx\r\n") as (server, client):
        await begin(client)
        assert (await client.say(f"BURL {await url(server)} LAST")).startswith("553 5.7.1 You may not send as bob@")
        await (await account(server)).append("Drafts", [NewMessage(b"Subject: x\n\ny\n")])
        await begin(client)
        bare = (await url(server)).partition(":INTERNAL")[0].replace("UID=1", "UID=2")
        [key] = await (await account(server)).url_keys.of(["Drafts"])
        link = urlauth.authorized(urlauth.parse(bare.encode()), key).decode()
        assert (await client.say(f"BURL {link} LAST")).startswith("550 5.6.11 ")


async def test_from_genurlauth_to_the_inbox() -> None:
    """A pod's own services: what its IMAP port authorizes, its submission port sends, until the key is reset."""
    world = await make_world()
    listener = await asyncio.get_running_loop().create_server(
        lambda: make_smtp(world.services, role="submission", implicit_tls=False), "127.0.0.1", 0
    )
    try:
        ann, bob = await world.login(), await world.login("bob")
        await ann.ok(b"APPEND Drafts (\\Draft) {32+}\r\nFrom: ann@example.org\r\n\r\nhello\r\n")
        rump = b"imap://ann%40example.org@localhost/Drafts/;UID=1;URLAUTH=submit+ann%40example.org"
        [answer] = await ann.ok(b'GENURLAUTH "%b" INTERNAL' % rump)
        client = Client(*await asyncio.open_connection("127.0.0.1", listener.sockets[0].getsockname()[1]))
        assert "BURL imap" in await client.hello()
        await client.say(f"AUTH PLAIN {plain('ann@example.org', 'secret')}")
        command = b"BURL %b LAST" % answer.removeprefix(b'* GENURLAUTH "').removesuffix(b'"')
        for expected in ("250 2.0.0 OK, queued as ", FAILED):
            await client.say("MAIL FROM:<ann@example.org>")
            await client.say("RCPT TO:<bob@example.org>")
            assert (await client.say(command)).startswith(expected)
            await ann.ok(b"RESETKEY Drafts")
        await bob.ok(b"SELECT INBOX")
        assert (await bob.ok(b"FETCH 1 BODY.PEEK[TEXT]"))[0].endswith(b"{7}\r\nhello\r\n)")
        assert world.services.budget.used == 0
        client.writer.close()
    finally:
        listener.close()
        await end_world(world)


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_argument(argument: str) -> None:
    try:
        url, last = parse_url(argument)
    except SyntaxProblem as problem:
        assert problem.reply.startswith("501 ")
        return
    assert url.isascii() and " " not in url and argument.startswith(url)
    assert last == (argument.upper() != url.upper())
