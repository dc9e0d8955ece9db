"""STARTTLS, implicit TLS and AUTH, on both event loops."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from tests.mailpod.smtp.server import PASSWORD, plain, serving

from mailpod.net.tls import TlsContexts
from mailpod.store.outbound import SpoolEntry

MAIL = b"Subject: x\r\n\r\nbody\r\n"
ALICE = "alice@example.com"


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    def run_dialogue(dialogue: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(dialogue)

    return run_dialogue


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_starttls(run: Any, tls: TlsContexts) -> None:
    async def dialogue() -> None:
        async with serving(tls=tls) as server, server.client() as client:
            assert "STARTTLS" in (await client.hello()).split("\n")
            await client.start_tls()
            assert await client.say("MAIL FROM:<>") == "503 5.5.1 Send EHLO first"
            assert "STARTTLS" not in await client.say("EHLO client.example")
            assert await client.say("STARTTLS") == "503 5.5.1 TLS is already active"
            assert (await client.message(MAIL, ALICE)).startswith("250")
            assert (await client.message(b"x" * 2**20 + b"\r\n", ALICE)).startswith("250")
            small, large = await server.inbox(ALICE)
            assert b" with ESMTPS (TLSv1.3 " in small
            assert large.endswith(b"x" * 2**20 + b"\r\n")

    run(dialogue())


def test_commands_after_starttls_in_the_clear_are_dropped(run: Any, tls: TlsContexts) -> None:
    async def dialogue() -> None:
        async with serving(tls=tls) as server, server.client() as client:
            await client.hello()
            client.send(b"STARTTLS\r\nEHLO injected\r\nMAIL FROM:<injected@far.example>\r\n")
            assert (await client.reply()).startswith("220")
            from tests.mailpod.support import client_context

            await client.writer.start_tls(client_context())
            assert await client.say("RCPT TO:<alice@example.com>") == "503 5.5.1 Send EHLO first"
            assert await client.say("NOOP") == "250 2.0.0 OK"

    run(dialogue())


def test_failed_handshake_closes(run: Any, tls: TlsContexts) -> None:
    async def dialogue() -> None:
        async with serving(tls=tls) as server, server.client() as client:
            await client.hello()
            await client.say("STARTTLS")
            client.send(b"this is no ClientHello\r\n" * 10)
            assert b"250" not in await asyncio.wait_for(client.reader.read(), 10)

    run(dialogue())


def test_implicit_tls(run: Any, tls: TlsContexts) -> None:
    async def dialogue() -> None:
        async with serving(implicit_tls=True, tls=tls) as server, server.client(tls=True) as client:
            assert "STARTTLS" not in await client.hello()
            assert (await client.message(MAIL, ALICE)).startswith("250")
            (stored,) = await server.inbox(ALICE)
            assert b" with ESMTPS (TLSv1.3 " in stored

    run(dialogue())


def test_submission(run: Any, tls: TlsContexts) -> None:
    async def dialogue() -> None:
        async with serving("submission", implicit_tls=True, tls=tls) as server, server.client(tls=True) as client:
            assert "AUTH PLAIN LOGIN" in await client.hello()
            assert await client.say("MAIL FROM:<>") == "530 5.7.0 Authentication required"
            assert await client.say(f"AUTH PLAIN {plain(ALICE, PASSWORD)}") == "235 2.7.0 Authentication successful"
            assert await client.say(f"AUTH PLAIN {plain(ALICE, PASSWORD)}") == "503 5.5.1 Already authenticated"
            assert await client.say("MAIL FROM:<alice@example.com> AUTH=<>") == "250 2.1.0 OK"
            assert await client.say("RSET") == "250 2.0.0 OK"
            letter = b"From: alice@example.com\r\n\r\nhi\r\n"
            assert (await client.message(letter, "bob@example.com", sender=ALICE))[:3] == "250"
            (stored,) = await server.inbox("bob@example.com")
            assert b" with ESMTPSA (TLSv1.3 " in stored
            assert b"\r\nDate: " in stored
            assert b"\r\nMessage-ID: <" in stored

    run(dialogue())


async def test_what_a_message_has_is_kept(tls: TlsContexts) -> None:
    async with serving("submission", implicit_tls=True, tls=tls) as server, server.client(tls=True) as client:
        await client.hello()
        await client.say(f"AUTH PLAIN {plain(ALICE, PASSWORD)}")
        await client.message(b"DATE: then\r\nmessage-id: <1@x>\r\n\r\nDate: none\r\n", "bob@example.com", sender=ALICE)
        (stored,) = await server.inbox("bob@example.com")
        assert stored.lower().count(b"\r\ndate:") == 2
        assert stored.lower().count(b"\r\nmessage-id:") == 1


@pytest.mark.parametrize(
    ("said", "replies"),
    [
        (["AUTH PLAIN", plain(ALICE, PASSWORD)], ["334 ", "235 2.7.0 Authentication successful"]),
        (
            ["AUTH LOGIN", encoded(ALICE), encoded(PASSWORD)],
            ["334 " + encoded("Username:"), "334 " + encoded("Password:"), "235 2.7.0 Authentication successful"],
        ),
        (
            [f"auth login {encoded(ALICE)}", encoded(PASSWORD)],
            ["334 " + encoded("Password:"), "235 2.7.0 Authentication successful"],
        ),
        (["AUTH PLAIN", "*"], ["334 ", "501 5.7.0 Authentication was given up"]),
        (["AUTH PLAIN", "not base64!"], ["334 ", "501 5.5.2 Bad response"]),
        (["AUTH PLAIN ="], ["501 5.5.2 Bad response"]),
        (["AUTH PLAIN \xe9"], ["501 5.5.2 Bad response"]),
        (["AUTH PLAIN", "x" * 13000], ["334 ", "500 5.5.6 Line is too long"]),
        (["AUTH GSSAPI"], ["504 5.5.4 Mechanism is not offered"]),
        ([f"AUTH PLAIN {plain(ALICE, 'wrong')}"], ["535 5.7.8 Authentication failed"]),
        ([f"AUTH PLAIN {plain('nobody@example.com', PASSWORD)}"], ["535 5.7.8 Authentication failed"]),
        ([f"AUTH PLAIN {plain('sleepy@example.com', PASSWORD)}"], ["535 5.7.8 This account may not log in here"]),
    ],
)
async def test_auth(said: list[str], replies: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    async with serving("submission") as server, server.client() as client:
        await client.hello()
        assert [await client.say(line) for line in said] == replies
        logged = capsys.readouterr().err
        for line in logged.splitlines():
            json.loads(line)
        assert PASSWORD not in logged
        assert encoded(PASSWORD) not in logged


async def test_auth_not_in_a_message() -> None:
    async with serving("submission") as server, server.client() as client:
        await client.hello()
        await client.say(f"AUTH PLAIN {plain(ALICE, PASSWORD)}")
        await client.say("MAIL FROM:<>")
        assert await client.say(f"AUTH PLAIN {plain(ALICE, PASSWORD)}") == "503 5.5.1 Not during a message"


async def test_auth_with_the_bucket_down() -> None:
    async with serving("submission") as server, server.client() as client:
        await client.hello()
        server.bucket.down = True
        assert (await client.say(f"AUTH PLAIN {plain(ALICE, PASSWORD)}")).startswith("454 4.7.0 ")


async def test_auth_needs_tls_from_elsewhere(monkeypatch: pytest.MonkeyPatch, tls: TlsContexts) -> None:
    from mailpod.net.peer import Peer
    from mailpod.smtp import connection

    monkeypatch.setattr(connection, "peer_of", lambda _: Peer("192.0.2.1", 1, False))
    async with serving("submission", tls=tls) as server, server.client() as client:
        assert "AUTH" not in await client.hello()
        assert await client.say(f"AUTH PLAIN {plain(ALICE, PASSWORD)}") == "538 5.7.11 Start TLS first"
        await client.start_tls()
        assert "AUTH PLAIN LOGIN" in await client.say("EHLO c")
        assert (await client.say(f"AUTH PLAIN {plain(ALICE, PASSWORD)}")).startswith("235")


async def test_too_many_failed_logins() -> None:
    async with serving("submission", login_failures=2, throttle_first_delay=0.01) as server, server.client() as client:
        await client.hello()
        for _ in range(2):
            assert (await client.say(f"AUTH PLAIN {plain(ALICE, 'wrong')}")).startswith("535")
        assert await client.reply() == "421 4.7.0 Too many errors, closing"


async def test_requiretls_is_offered_and_taken_under_tls_alone(tls: TlsContexts) -> None:
    """RFC 8689 §2."""
    async with serving(tls=tls) as server, server.client() as client:
        assert "REQUIRETLS" not in await client.hello()
        assert (await client.say("MAIL FROM:<> REQUIRETLS")).startswith("555 ")
        await client.start_tls()
        assert "REQUIRETLS" in (await client.say("EHLO client.example")).split("\n")
        assert (await client.say("MAIL FROM:<> REQUIRETLS=1")).startswith("501 ")
        assert (await client.say("MAIL FROM:<> REQUIRETLS")).startswith("250 ")


async def test_requiretls_goes_on_with_the_message(tls: TlsContexts, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[SpoolEntry] = []

    async def keep(entry: SpoolEntry, message: bytes) -> None:
        kept.append(entry)

    async with serving(tls=tls) as server, server.client() as client:
        monkeypatch.setattr(server.services.spool, "accept", keep)
        await client.hello()
        await client.start_tls()
        await client.say("EHLO client.example")
        for options in ("", " REQUIRETLS"):
            await client.say(f"MAIL FROM:<far@far.example>{options}")
            for recipient in (ALICE, "bob@example.com"):
                await client.say(f"RCPT TO:<{recipient}>")
            await client.say("DATA")
            client.send(MAIL + b".\r\n")
            assert (await client.reply()).startswith("250 ")
    assert [entry.requiretls for entry in kept] == [False, True]
