"""Dialogues: what the client sends, what the server answers."""

from __future__ import annotations

import asyncio
import base64
import poplib
import subprocess
from typing import Any

import pytest
from tests.harness.need import need
from tests.mailpod.pop3.dialogue import PASSWORD, World, make_world, user
from tests.mailpod.support import client_context, until

from mailpod.config import CertificateFiles
from mailpod.errors import Unavailable
from mailpod.store import Account

HELLO = b"From: a@b\r\nSubject: hello\r\n\r\nLine one\r\n.dot\r\n..two dots\r\n.\r\nend\r\n"
PLAIN = base64.b64encode(b"\0ann@example.org\0" + PASSWORD.encode())


async def test_a_whole_session(world: World) -> None:
    await world.fill([HELLO, b"Subject: two\r\n\r\nx\r\n"])
    client = await world.login()
    assert await client.ok(b"STAT") == b"2 %d" % (len(HELLO) + 19)
    assert await client.multi(b"LIST") == b"1 %d\r\n2 19\r\n" % len(HELLO)
    assert await client.ok(b"LIST 2") == b"2 19"
    ids = (await client.multi(b"UIDL")).split()
    assert await client.ok(b"UIDL 2") == b"2 " + ids[3]
    assert len(set(ids[1::2])) == 2
    assert await client.multi(b"RETR 1") == HELLO
    assert await client.multi(b"TOP 1 0") == b"From: a@b\r\nSubject: hello\r\n\r\n"
    assert await client.multi(b"TOP 1 2") == b"From: a@b\r\nSubject: hello\r\n\r\nLine one\r\n.dot\r\n"
    assert await client.multi(b"TOP 1 1000000000") == HELLO
    await client.ok(b"DELE 1")
    assert await client.refused(b"RETR 1") == b"Message is marked as deleted"
    assert await client.refused(b"DELE 1") == b"Message is marked as deleted"
    assert await client.refused(b"RETR 3") == b"No such message, there are 2"
    assert await client.refused(b"RETR 0") == b"No such message, there are 2"
    assert await client.ok(b"STAT") == b"1 19"
    assert await client.multi(b"LIST") == b"2 19\r\n"
    await client.ok(b"RSET")
    assert await client.ok(b"STAT") == b"2 %d" % (len(HELLO) + 19)
    await client.ok(b"DELE 2")
    await client.ok(b"NOOP")
    await client.ok(b"QUIT")
    assert await client.closed()

    again = await world.login()
    assert await again.multi(b"UIDL") == b"1 %b\r\n" % ids[1]


async def test_connection_that_breaks_deletes_nothing(world: World) -> None:
    await world.fill([HELLO])
    client = await world.login()
    await client.ok(b"DELE 1")
    client.writer.close()
    again = await world.login()
    assert (await again.ok(b"STAT")).startswith(b"1 ")


async def test_numbers_stay_while_others_add_and_expunge(world: World) -> None:
    await world.fill([b"Subject: %d\r\n\r\n" % number for number in range(1, 5)])
    client = await world.login()
    account = await world.account()
    inbox = account.mailbox("INBOX")
    await account.expunge(inbox, [2])
    await world.fill([b"Subject: new\r\n\r\n"])
    assert (await client.ok(b"STAT")).startswith(b"4 ")
    assert await client.multi(b"RETR 3") == b"Subject: 3\r\n\r\n"
    for command in (b"RETR 2", b"TOP 2 0"):  # gone, or still there since the session began with it: never another
        answer = await client.ask(command)
        assert b"no longer exist" in answer or await client.rest() == b"Subject: 2\r\n\r\n"
    await client.ok(b"DELE 2")
    await client.ok(b"DELE 3")
    await client.ok(b"QUIT")
    await account.refresh()
    assert list(inbox.uids) == [1, 4, 5]
    account.release()


async def test_pipelined_commands_are_answered_in_order(world: World) -> None:
    await world.fill([b"Subject: %d\r\n\r\n" % number for number in range(200)])
    client = await world.connect()
    client.send(b"USER ann@example.org\r\nPASS %b\r\nNOOP\r\nSTAT\r\n" % PASSWORD.encode())
    client.send(b"".join(b"RETR %d\r\nDELE %d\r\n" % (number, number) for number in range(1, 201)) + b"QUIT\r\n")
    assert [(await client.line())[:3] for _ in range(4)] == [b"+OK"] * 4
    for number in range(200):
        assert (await client.line()).startswith(b"+OK")
        assert await client.rest() == b"Subject: %d\r\n\r\n" % number
        assert await client.line() == b"+OK Marked as deleted"
    assert await client.line() == b"+OK Bye"
    account = await world.account()
    assert account.mailbox("INBOX").exists == 0
    account.release()


async def test_half_closed_client_still_gets_its_answers(world: World) -> None:
    client = await world.connect()
    client.send(b"USER ann@example.org\r\nPASS %b\r\nSTAT\r\n" % PASSWORD.encode())
    client.writer.write_eof()
    assert (await client.reader.read()).count(b"+OK") == 3


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b".",
        b"\r\n",
        b".\r\n.\r\n",
        b"no newline at the end",
        b"Subject: bare\n\nLF\n.\nand\rCR\r\n",
        b"S: \xff\x00\r\n\r\n\xf0\x9f\x92\x8c\r\n",
        b"S: big\r\n\r\n" + b"." * 3_000_000 + b"\r\n",
    ],
)
async def test_odd_messages_come_byte_for_byte(world: World, message: bytes) -> None:
    await world.fill([message])
    client = await world.login()
    found = await client.multi(b"RETR 1")
    assert found == message + (b"\r\n" if message and not message.endswith(b"\r\n") else b"")
    assert await client.ok(b"LIST 1") == b"1 %d" % len(message)


async def test_capabilities_are_what_is_there(world: World) -> None:
    client = await world.connect()
    plain = (await client.multi(b"CAPA")).split(b"\r\n")
    assert {b"TOP", b"UIDL", b"USER", b"SASL PLAIN LOGIN", b"STLS", b"PIPELINING", b"RESP-CODES"} <= set(plain)
    secure = await world.connect(implicit=True)
    assert b"STLS" not in (await secure.multi(b"CAPA")).split(b"\r\n")
    assert await secure.refused(b"STLS") == b"TLS is already active"


async def test_stls(world: World) -> None:
    client = await world.connect()
    client.send(b"USER ann@example.org\r\n")
    await client.line()
    await client.ok(b"STLS")
    await client.start_tls()
    assert await client.refused(b"PASS " + PASSWORD.encode()) == b"USER first"  # said in the clear, and forgotten
    await client.ok(b"USER ann@example.org")
    await client.ok(b"PASS " + PASSWORD.encode())
    assert b"STLS" not in await client.multi(b"CAPA")
    assert b"not allowed" in await client.refused(b"STLS")
    await client.ok(b"QUIT")


async def test_no_password_in_the_clear_from_elsewhere(world: World) -> None:
    client = await world.connect()
    session: Any = next(iter(world.pod.services.connections._open))
    session.peer = session.peer._replace(local=False)
    assert await client.refused(b"USER ann@example.org") == b"[AUTH] Start TLS first"
    assert await client.refused(b"PASS x") == b"[AUTH] Start TLS first"
    assert await client.refused(b"AUTH PLAIN " + PLAIN) == b"[AUTH] Start TLS first"
    capabilities = await client.multi(b"CAPA")
    assert b"USER" not in capabilities
    assert b"SASL" not in capabilities
    assert b"STLS" in capabilities


async def test_sasl(world: World) -> None:
    client = await world.connect()
    await client.ok(b"AUTH PLAIN " + PLAIN)
    await client.ok(b"QUIT")

    client = await world.connect()
    assert await client.ask(b"AUTH PLAIN") == b"+ "
    await client.ok(PLAIN)

    client = await world.connect()
    assert await client.ask(b"auth login") == b"+ " + base64.b64encode(b"Username:")
    assert await client.ask(base64.b64encode(b"ann@example.org")) == b"+ " + base64.b64encode(b"Password:")
    await client.ok(base64.b64encode(PASSWORD.encode()))

    client = await world.connect()
    assert await client.ask(b"AUTH PLAIN") == b"+ "
    assert await client.refused(b"*") == b"Authentication was cancelled"
    assert await client.refused(b"AUTH PLAIN !!!") == b"AUTH: not base64"
    assert await client.refused(b"AUTH CRAM-MD5") == b"AUTH: mechanism is not supported"
    assert await client.multi(b"AUTH") == b"PLAIN\r\nLOGIN\r\n"
    await client.ok(b"AUTH PLAIN " + PLAIN)


async def test_wrong_password_says_auth_and_too_many_end_it(files: CertificateFiles) -> None:
    world = await make_world(files, login_failures=3, throttle_free_failures=10)
    client = await world.connect()
    for name in (b"ann@example.org", b"nobody@example.org", b"not an address"):
        await client.ok(b"USER " + name)
        assert await client.refused(b"PASS wrong") == b"[AUTH] Authentication failed"
    assert await client.closed()
    await world.end()


async def test_refused_protocol_and_suspended(world: World) -> None:
    await world.publish(user("ann", protocols=("imap",)), user("bob", suspended=True))
    for name in ("ann", "bob"):
        client = await world.connect()
        await client.ok(f"USER {name}@example.org".encode())
        world.pod.services.directory.forget(f"{name}@example.org")
        assert (await client.refused(f"PASS {PASSWORD}".encode())).startswith(b"[AUTH] This account")


async def test_quit_that_cannot_be_written_says_so_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await make_world()
    await world.fill([HELLO])
    client = await world.login()
    await client.ok(b"DELE 1")

    async def unavailable(*_: Any) -> list[int]:
        raise Unavailable

    monkeypatch.setattr(Account, "expunge", unavailable)
    assert (await client.refused(b"QUIT")).startswith(b"[SYS/TEMP] ")
    assert await client.closed()
    assert (await (await world.login()).ok(b"STAT")).startswith(b"1 ")
    await world.end()


async def test_bucket_that_is_away_is_temporary(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await make_world()
    client = await world.connect()
    await client.ok(b"USER ann@example.org")

    async def unavailable(*_: Any) -> None:
        raise Unavailable

    monkeypatch.setattr(Account, "refresh", unavailable)
    assert (await client.refused(b"PASS " + PASSWORD.encode())).startswith(b"[SYS/TEMP] ")
    monkeypatch.undo()
    await client.ok(b"USER ann@example.org")
    await client.ok(b"PASS " + PASSWORD.encode())
    await world.end()


async def test_new_password_ends_the_session(files: CertificateFiles) -> None:
    world = await make_world(files, registry_sweep_seconds=0.1)
    ann, bob = await world.login("ann"), await world.login("bob")
    bobs = (await world.pod.services.directory.lookup("bob@example.org")) or pytest.fail("bob is gone")
    await world.publish(user("ann", "another one"), bobs)
    world.pod.services.directory.forget("ann@example.org")
    assert await ann.closed()
    await bob.ok(b"NOOP")
    assert world.pod.services.registry.count("ann@example.org") == 0
    await world.end()


async def test_what_is_read_ahead_is_given_back(world: World) -> None:
    await world.fill([b"x" * 10_000] * 20)
    budget = world.pod.services.budget
    client = await world.login()
    await client.multi(b"RETR 1")
    assert budget.used == 0
    await client.multi(b"RETR 2")
    assert budget.used > 0
    await until(lambda: not budget.used)  # a client that pauses
    assert await client.multi(b"RETR 3") == b"x" * 10_000 + b"\r\n"
    assert await client.multi(b"RETR 4") == b"x" * 10_000 + b"\r\n"
    client.writer.close()
    await until(lambda: not budget.used and not len(world.pod.services.registry))


async def test_client_that_pipelines_and_does_not_read_costs_bounded_memory(world: World) -> None:
    await world.fill([b"x"] * 500)
    client = await world.login()
    client.send(b"UIDL\r\n" * 40_000)
    await asyncio.sleep(1)
    session: Any = next(iter(world.pod.services.connections._open))
    assert session._backlog() < 2_000_000
    assert len(session.buffer) < 1_000_000
    client.writer.transport.abort()


async def test_garbage_ends_the_connection_in_the_end(world: World) -> None:
    client = await world.connect()
    client.send(b"GET / HTTP/1.1\r\n" * 30)
    answers = (await client.reader.read()).split(b"\r\n")
    assert answers[:-1] == [b"-ERR Unknown command"] * 20
    client = await world.connect()
    client.send(b"x" * 5000)
    assert await client.line() == b"-ERR Line is too long"


def poplib_session(port: int, tls: str) -> list[bytes]:
    context = client_context()
    pop: poplib.POP3 = (
        poplib.POP3_SSL("localhost", port, context=context) if tls == "implicit" else poplib.POP3("127.0.0.1", port)
    )
    if tls == "starttls":
        pop.stls(context)
    pop.user("ann@example.org")
    pop.pass_(PASSWORD)
    lines = pop.retr(1)[1]
    pop.dele(1)
    pop.quit()
    return lines


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
async def test_poplib(world: World, tls: str) -> None:
    await world.fill([HELLO])
    port = list(world.pod.ports.values())[tls == "implicit"]
    lines = await asyncio.to_thread(poplib_session, port, tls)
    assert b"\r\n".join(lines) + b"\r\n" == HELLO
    assert (await (await world.login()).ok(b"STAT")) == b"0 0"


@pytest.mark.parametrize("tls", [[], ["--ssl-reqd", "-k"]])
async def test_curl(world: World, tls: list[str]) -> None:
    curl = need("curl")
    await world.fill([HELLO])
    url = f"pop3://127.0.0.1:{next(iter(world.pod.ports.values()))}/1"
    run = await asyncio.to_thread(
        subprocess.run, [curl, "-sS", *tls, "-u", f"ann@example.org:{PASSWORD}", url], capture_output=True, check=True
    )
    assert run.stdout == HELLO
