"""What holds for every command: order, literals, limits, errors, and the ways a session ends."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from tests.mailpod.imap.dialogue import MakeWorld, World, eventually, user

from mailpod.clock import SystemClock
from mailpod.errors import Unavailable
from mailpod.imap.commands import COMMANDS
from mailpod.imap.grammar import GRAMMAR
from mailpod.store import Account, NewMessage, Store


def test_every_command_that_is_understood_is_run() -> None:
    assert COMMANDS.keys() == GRAMMAR.keys()


async def test_small_commands(world: World) -> None:
    client = await world.login()
    assert await client.ok(b"NAMESPACE") == [b'* NAMESPACE (("" "/")) (("Other Users/" "/")) NIL']
    assert (await client.ok(b'ID ("name" "x")'))[0].startswith(b'* ID ("name" "Mailpod" "version" "')
    assert await client.ok(b"ENABLE X-NEWS") == [b"* ENABLED"]
    assert await client.ok(b"LOGOUT") == [b"* BYE Logging out"]
    assert await client.closed()


async def test_pipelined_commands_are_answered_in_order(world: World) -> None:
    client = await world.connect()
    await client.send(
        b"1 LOGIN ann@example.org secret\r\n2 SELECT INBOX\r\n3 APPEND INBOX {1+}\r\nx\r\n"
        b"4 NOOP\r\n5 FROB\r\n6 LOGOUT\r\n"
    )
    tagged = []
    while line := await client.line():
        if not line.startswith(b"*"):
            tagged.append(line.split(b" ")[:2])
    assert tagged == [[b"1", b"OK"], [b"2", b"OK"], [b"3", b"OK"], [b"4", b"OK"], [b"5", b"BAD"], [b"6", b"OK"]]


async def test_what_is_asked_before_the_client_half_closes_is_answered(world: World) -> None:
    client = await world.connect()
    await client.send(b"1 LOGIN ann@example.org secret\r\n2 SELECT INBOX\r\n3 LOGOUT\r\n")
    client.writer.write_eof()
    lines = []
    while line := await client.line():
        lines.append(line)
    assert lines[-1] == b"3 OK LOGOUT completed"


async def test_states(world: World) -> None:
    client = await world.connect()
    assert await client.refused(b"SELECT INBOX") == b"a BAD SELECT is not allowed in the not authenticated state"
    await client.ok(b"LOGIN ann@example.org secret")
    assert await client.refused(b"FETCH 1 FLAGS") == b"a BAD FETCH is not allowed in the authenticated state"


async def test_a_literal_is_not_asked_for_in_the_wrong_state(world: World) -> None:
    client = await world.connect()
    assert (await client.refused(b"APPEND INBOX {1000000}")).startswith(b"a BAD APPEND is not allowed")
    assert (await client.refused(b"CREATE {3}")).startswith(b"a BAD CREATE is not allowed")
    assert (await client.refused(b"CREATE {3+}\r\nabc")).startswith(b"a BAD CREATE is not allowed")


async def test_too_big_for_append(make: MakeWorld) -> None:
    world = await make(imap={"append_bytes": 1000})
    client = await world.login()
    assert (await client.refused(b"APPEND INBOX {1001}")).startswith(b"a NO [TOOBIG]")
    assert (await client.refused(b"APPEND INBOX {1001+}\r\n" + b"m" * 1001)).startswith(b"a NO [TOOBIG]")
    await client.ok(b"APPEND INBOX {1000+}\r\n" + b"m" * 1000)
    assert world.services.budget.used == 0


async def test_append_waits_for_the_budget(make: MakeWorld) -> None:
    world = await make(message_budget_bytes=1000)
    client = await world.login()
    assert world.services.budget.try_take(600)
    await client.send(b"a APPEND INBOX {600}\r\n")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.reader.readline()
    world.services.budget.give(600)
    assert (await client.line()).startswith(b"+ ")
    await client.send(b"m" * 600 + b"\r\nb NOOP\r\n")
    assert (await client.line()).startswith(b"a OK [APPENDUID ")
    assert await client.line() == b"b OK NOOP completed"
    assert world.services.budget.used == 0


@pytest.mark.parametrize("waiting", [True, False])
async def test_a_client_that_leaves_in_an_append_frees_the_budget(make: MakeWorld, waiting: bool) -> None:
    world = await make(message_budget_bytes=1000)
    client = await world.login()
    if waiting:
        assert world.services.budget.try_take(600)
    await client.send(b"a APPEND INBOX {600+}\r\nxxx")
    await asyncio.sleep(0.05)
    client.close()
    await eventually(lambda: not len(world.services.connections))
    await asyncio.sleep(0.01)
    assert world.services.budget.used == (600 if waiting else 0)
    assert world.services.budget.try_take(100)


async def test_large_append_in_pieces(world: World) -> None:
    client = await world.login(select="INBOX")
    body = b"\r\n" + bytes(range(1, 256)) * 40_000
    await client.send(b"a APPEND INBOX {%d}\r\n" % len(body))
    assert (await client.line()).startswith(b"+ ")
    await client.send(body + b"\r\n")
    answer = await client.until(b"a")
    assert answer[:2] == [b"* 1 EXISTS", b"* 1 RECENT"]
    await client.send(b"a FETCH 1 BODY.PEEK[]\r\n")
    assert await client.reader.readline() == b"* 1 FETCH (BODY[] {%d}\r\n" % len(body)
    assert await client.reader.readexactly(len(body)) == body


async def test_bad_commands_are_counted_in_a_row(make: MakeWorld) -> None:
    world = await make(imap={"bad_commands": 3})
    client = await world.login()
    await client.refused(b"FROB")
    await client.refused(b"FROB")
    await client.ok(b"NOOP")
    await client.refused(b"FROB")
    await client.refused(b"CHECK")
    await client.refused(b"FETCH")
    assert await client.line() == b"* BYE Too many bad commands"
    assert await client.closed()


async def test_untagged_bad(world: World) -> None:
    client = await world.connect()
    await client.send(b"\x16\x03\x01 hello\r\n")
    assert await client.line() == b"* BAD Expected a tag"


async def test_autologout(make: MakeWorld) -> None:
    world = await make(login_timeout=0.2)
    client = await world.connect()
    assert await client.line() == b"* BYE Autologout; idle for too long"
    assert await client.closed()


async def test_drain(world: World) -> None:
    idle, idling = await world.login(select="INBOX"), await world.login(select="INBOX")
    await idling.send(b"i IDLE\r\n")
    await idling.line()
    world.services.connections.drain()
    for client in (idle, idling):
        assert await client.line() == b"* BYE Server is shutting down"
        assert await client.closed()


async def test_drain_lets_the_running_command_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await world.login(select="INBOX")
    go = asyncio.Event()
    refresh = Account.refresh

    async def slow(account: Account) -> None:
        await go.wait()
        await refresh(account)

    monkeypatch.setattr(Account, "refresh", slow)
    await client.send(b"a NOOP\r\nb NOOP\r\n")
    await asyncio.sleep(0.05)
    world.services.connections.drain()
    go.set()
    assert await client.line() == b"a OK NOOP completed"
    assert await client.line() == b"* BYE Server is shutting down"
    assert await client.closed()


async def test_revoked_sessions_end(world: World) -> None:
    ann, bob = await world.login("ann"), await world.login("bob")
    as_before = await world.services.directory.lookup("bob@example.org")
    assert as_before is not None
    await world.publish(user("ann", "new password"), as_before)
    world.services.directory.forget("ann@example.org")
    await world.services.registry.sweep()
    assert await ann.line() == b"* BYE The account changed; log in again"
    assert await ann.closed()
    assert await bob.ok(b"NOOP") == []


async def test_login_and_noop_see_what_other_pods_did(world: World) -> None:
    early = await world.login()
    mine = await world.account()
    elsewhere = Store(world.services.store.objects, clock=SystemClock(), rng=random.Random(2))
    theirs = await elsewhere.open(mine.ref)
    await theirs.create("there")
    listed = [b'* LIST (\\HasNoChildren) "/" there']
    assert await (await world.login()).ok(b'LIST "" there') == listed
    await theirs.create("later")
    await early.ok(b"NOOP")
    assert len(await early.ok(b'LIST "" *')) == 8
    await elsewhere.close()


async def test_storage_that_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await world.login(select="INBOX")

    async def away(account: Account) -> None:
        raise Unavailable

    with monkeypatch.context() as patch:
        patch.setattr(Account, "refresh", away)
        assert (await client.refused(b"NOOP")).startswith(b"a NO [UNAVAILABLE]")
        assert (await client.refused(b"STATUS INBOX (MESSAGES)")).startswith(b"a NO [UNAVAILABLE]")
    await client.ok(b"NOOP")


async def test_a_bug_costs_one_command(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await world.login(select="INBOX")

    async def bug(account: Account) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(Account, "refresh", bug)
        assert await client.refused(b"NOOP") == b"a NO [SERVERBUG] Internal error"
    await client.ok(b"NOOP")


async def test_expunge_is_not_told_during_fetch(world: World) -> None:
    """RFC 3501 §7.4.1."""
    account = await world.account()
    inbox = account.mailbox("INBOX")
    await account.append("INBOX", [NewMessage(b"a"), NewMessage(b"b")])
    client = await world.login(select="INBOX")
    await account.expunge(inbox, [1])
    assert await client.ok(b"FETCH 2 UID") == [b"* 2 FETCH (UID 2)"]
    assert await client.ok(b"NOOP") == [b"* 1 EXPUNGE", b"* 1 RECENT"]


async def test_a_client_that_does_not_read_costs_bounded_memory(make: MakeWorld) -> None:
    world = await make(write_high_water=10_000)
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"m" * 100_000)] * 20)
    client = await world.login(select="INBOX")
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    pipelined = b"f FETCH 1:* BODY.PEEK[]\r\n" * 5 + b'l LIST "" *\r\n' * 3_000 + b"z NOOP\r\n" * 4_000
    sending = asyncio.ensure_future(client.send(pipelined))
    await asyncio.sleep(0.5)
    (session,) = world.sessions()
    assert len(session.buffer) < 1_000_000
    assert session._backlog() < 4_000_000
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    count = 0
    async with asyncio.timeout(20):
        while count < 4_000:
            line = await client.reader.readuntil(b"\n")
            count += line.startswith(b"z OK")
    await sending


async def test_memory_of_an_idle_session(world: World) -> None:
    import tracemalloc

    async def sessions(count: int) -> list[Any]:
        return [await world.login(select="INBOX") for _ in range(count)]

    await sessions(3)
    tracemalloc.start()
    try:
        held = await sessions(20)
        traced = tracemalloc.take_snapshot().filter_traces(
            [tracemalloc.Filter(True, "*/mailpod/imap/*"), tracemalloc.Filter(True, "*/mailpod/net/*")]
        )
    finally:
        tracemalloc.stop()
    assert held
    assert sum(stat.size for stat in traced.statistics("filename")) / 20 < 6000
