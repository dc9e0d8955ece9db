"""Opening sessions with servers of all kinds, over a real connection."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from tests.harness.peer import HANG_UP, SILENCE, Peer, running
from tests.harness.zone import Zone
from tests.mailpod.queue.outward import FAR, MESSAGE, ZONE, entry, pod
from tests.mailpod.smtp.server import Bucket
from tests.mailpod.support import make_certificate

from mailpod.clock import SystemClock
from mailpod.services import Services
from mailpod.store.outcome import Outcome

Serving = Callable[..., AbstractAsyncContextManager[Services]]


@asynccontextmanager
async def serving(peer: Peer, *lines: str, **outbound: object) -> AsyncIterator[Services]:
    async with running(peer):
        services = await pod(Bucket(SystemClock()), Zone(*(lines or ZONE)), peer.port, **outbound)
        yield services
        await services.spool.stop()


async def attempt(services: Services, *recipients: str, message: bytes = MESSAGE) -> dict[str, Outcome]:
    relay = services.spool.relay
    made = entry(services, *(recipients or (FAR,)))
    destination = relay.destination(made.recipients[0])
    before = services.clock.elapsed() + 60
    return await relay.deliver(made, message, destination, made.recipients, before)


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(tmp_path, "mx.far.test"))
    return context


async def test_starttls_with_anybody(tls: ssl.SSLContext) -> None:
    peer = Peer(tls=tls)
    async with serving(peer) as services:
        assert (await attempt(services))[FAR].action == "passed"
        assert peer.commands[:3] == ["EHLO mx.example.com", "STARTTLS", "EHLO mx.example.com"]
        assert await attempt(services) and peer.connections == 1


async def test_in_the_clear_where_tls_fails(tls: ssl.SSLContext) -> None:
    peer = Peer(tls=tls)
    peer.say("STARTTLS", HANG_UP)
    async with serving(peer) as services:
        assert (await attempt(services))[FAR].action == "delayed"  # the connection broke: another time
    refusing = Peer(tls=tls)
    refusing.say("STARTTLS", "454 4.7.0 not now")
    async with serving(refusing) as services:
        assert (await attempt(services))[FAR].action == "passed"


async def test_nothing_said_in_the_clear_is_believed(tls: ssl.SSLContext) -> None:
    peer = Peer(tls=tls)
    peer.say("STARTTLS", "220 go\r\n250 injected")
    async with serving(peer) as services:
        assert (await attempt(services))[FAR].action == "delayed"
        assert peer.messages == []


async def test_helo_where_ehlo_is_unknown() -> None:
    peer = Peer()
    peer.say("EHLO", "502 5.5.1 what?")
    async with serving(peer) as services:
        assert (await attempt(services))[FAR].action == "relayed"
        assert peer.commands[:3] == ["EHLO mx.example.com", "HELO mx.example.com", "MAIL FROM:<alice@example.com>"]


@pytest.mark.parametrize(
    ("greeting", "outcome"),
    [
        ("554 5.7.1 go away", ("failed", "5.7.1")),
        ("421 4.3.2 busy", ("delayed", "4.3.2")),
        (HANG_UP, ("delayed", "4.4.2")),
        ("SSH-2.0-OpenSSH", ("delayed", "4.4.2")),
        (SILENCE, ("delayed", "4.4.2")),
    ],
)
async def test_greetings(greeting: str, outcome: tuple[str, str]) -> None:
    peer = Peer()
    peer.say("connect", greeting)
    async with serving(peer, greeting_timeout=0.2) as services:
        found = (await attempt(services))[FAR]
        assert (found.action, found.status, found.host) == (*outcome, "mx.far.test")


async def test_the_next_server_where_the_first_does_not_answer() -> None:
    zone = (
        "far.test. MX 10 a.far.test.",
        "far.test. MX 20 b.far.test.",
        "a.far.test. A 127.0.0.9",
        "b.far.test. A 127.0.0.1",
    )
    async with serving(Peer(), *zone) as services:
        assert (await attempt(services))[FAR].host == "b.far.test"


async def test_not_servers_that_are_no_better_than_we_are() -> None:
    zone = ("far.test. MX 10 a.far.test.", "far.test. MX 20 mx.example.com.", "far.test. MX 30 c.far.test.")
    addresses = ("a.far.test. A 127.0.0.9", "mx.example.com. A 127.0.0.1", "c.far.test. A 127.0.0.1")
    peer = Peer()
    async with serving(peer, *zone, *addresses) as services:
        assert (await attempt(services))[FAR].action == "delayed"
        assert peer.connections == 0


async def test_an_idle_session_that_the_server_closed() -> None:
    peer = Peer()
    async with serving(peer) as services:
        await attempt(services)
        peer.say("MAIL", "421 4.4.2 idle for too long")
        assert (await attempt(services))[FAR].action == "delayed"
        assert (await attempt(services))[FAR].action == "passed"
        peer.say("MAIL", HANG_UP)
        assert (await attempt(services))[FAR].action == "passed"  # nothing was answered: a new connection


@pytest.mark.parametrize("refused", ["MAIL", "RCPT", "DATA"])
async def test_after_a_refusal_the_session_takes_another_message(refused: str) -> None:
    peer = Peer()
    peer.say(refused, "450 4.2.0 come again")
    async with serving(peer) as services:
        assert (await attempt(services))[FAR].action == "delayed"
        assert (await attempt(services, message=b"\r\nthe other\r\n"))[FAR].action == "passed"
    (taken,) = peer.messages
    assert taken.data == b"\r\nthe other\r\n" and peer.connections == 1


async def test_too_many_recipients_go_in_another_transaction() -> None:
    peer = Peer()
    peer.say("RCPT TO:<c@far.test>", "452 4.5.3 too many recipients")
    async with serving(peer) as services:
        found = await attempt(services, FAR, "c@far.test")
        assert {outcome.action for outcome in found.values()} == {"passed"}
        assert [taken.recipients for taken in peer.messages] == [[FAR], ["c@far.test"]]


async def test_a_large_message() -> None:
    peer = Peer()
    message = b"\r\n" + b".0123456789abcdef\r\n" * 100_000
    async with serving(peer) as services:
        assert (await attempt(services, message=message))[FAR].action == "passed"
        assert peer.messages[0].data == message


async def test_the_final_dot_has_its_time() -> None:
    peer = Peer()
    async with serving(peer) as services:
        relay = services.spool.relay
        made = entry(services)
        peer.say("connect", "220-wait\r\n220 peer")
        found = await relay.deliver(made, MESSAGE, "far.test", made.recipients, services.clock.elapsed())
        assert found[FAR].action == "delayed" and peer.messages == []


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_a_smarthost(tmp_path: Path, mechanism: str) -> None:
    (tmp_path / "username").write_text("user\n")
    (tmp_path / "password").write_text("secret\n")
    peer = Peer(extensions=("PIPELINING", f"AUTH {mechanism}"))
    if mechanism == "LOGIN":
        peer.say("AUTH", "334 VXNlcm5hbWU6")
        peer.say(b64encode(b"user").decode(), "334 UGFzc3dvcmQ6")
        peer.say(b64encode(b"secret").decode(), "235 2.7.0 welcome")
    async with running(peer):
        smarthost = {"host": "out.test", "port": peer.port, "tls": "none", "credentials": tmp_path}
        services = await pod(Bucket(SystemClock()), Zone("out.test. A 127.0.0.1"), 9, smarthost=smarthost)
        found = await attempt(services, "b@anywhere.test", "c@elsewhere.test")
        assert {outcome.action for outcome in found.values()} == {"relayed"}
        assert peer.messages[0].recipients == ["b@anywhere.test", "c@elsewhere.test"]
        if mechanism == "PLAIN":
            assert peer.commands[1] == "AUTH PLAIN " + b64encode(b"\0user\0secret").decode()
        peer.say("AUTH", "535 5.7.8 no")
        await services.spool.relay.destinations.close()
        assert (await attempt(services))[FAR].action == "delayed"  # ours to mend: nothing bounces
        await services.spool.stop()


async def test_a_smarthost_without_tls_gets_nothing(tmp_path: Path) -> None:
    peer = Peer()
    async with running(peer):
        smarthost = {"host": "out.test", "port": peer.port}
        services = await pod(Bucket(SystemClock()), Zone("out.test. A 127.0.0.1"), 9, smarthost=smarthost)
        assert (await attempt(services))[FAR].status == "4.7.5"
        assert peer.commands == ["EHLO mx.example.com"]


async def test_a_smarthost_with_tls_from_the_first_byte(tls: ssl.SSLContext) -> None:
    import asyncio

    peer = Peer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    smarthost = {"host": "out.test", "port": port, "tls": "implicit", "verify": False}
    services = await pod(Bucket(SystemClock()), Zone("out.test. A 127.0.0.1"), 9, smarthost=smarthost)
    assert (await attempt(services))[FAR].action == "passed"
    await services.spool.stop()
    server.close()
