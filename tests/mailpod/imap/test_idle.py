"""IDLE: RFC 2177."""

from __future__ import annotations

import asyncio
import random

from tests.mailpod.imap.dialogue import Client, MakeWorld, World, eventually

from mailpod.clock import SystemClock
from mailpod.store import NewMessage, Store


async def idle(client: Client) -> None:
    await client.send(b"i IDLE\r\n")
    assert await client.line() == b"+ idling"


async def test_changes_are_told_at_once(world: World) -> None:
    client = await world.login(select="INBOX")
    await idle(client)
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"x")])
    assert [await client.line(), await client.line()] == [b"* 1 EXISTS", b"* 1 RECENT"]
    await account.store_flags(account.mailbox("INBOX"), [1], "add", ["\\Seen"])
    assert await client.line() == b"* 1 FETCH (FLAGS (\\Recent \\Seen))"
    await account.expunge(account.mailbox("INBOX"), [1])
    assert [await client.line(), await client.line()] == [b"* 1 EXPUNGE", b"* 0 RECENT"]
    await client.send(b"done\r\nb NOOP\r\n")
    assert await client.line() == b"i OK IDLE completed"
    assert await client.line() == b"b OK NOOP completed"


async def test_no_task_while_idle(world: World) -> None:
    client = await world.login(select="INBOX")
    await idle(client)
    before = len(asyncio.all_tasks())
    others = [await world.login(select="INBOX") for _ in range(5)]
    for other in others:
        await idle(other)
    assert len(asyncio.all_tasks()) == before
    assert len(world.services.followers) == 1
    for each in (client, *others):
        await each.send(b"DONE\r\n")
        assert await each.line() == b"i OK IDLE completed"
    assert len(world.services.followers) == 0


async def test_changes_of_another_pod(make: MakeWorld) -> None:
    world = await make(imap={"idle_refresh_seconds": 0.05})
    client = await world.login(select="INBOX")
    await idle(client)
    mine = await world.account()
    elsewhere = Store(world.services.store.objects, clock=SystemClock(), rng=random.Random(2))
    theirs = await elsewhere.open(mine.ref)
    await theirs.append("INBOX", [NewMessage(b"x")])
    assert await client.line() == b"* 1 EXISTS"
    await elsewhere.close()


async def test_anything_but_done_is_bad(world: World) -> None:
    client = await world.login()
    await idle(client)
    await client.send(b"b NOOP\r\n")
    assert await client.line() == b"i BAD Expected DONE"
    assert await client.ok(b"NOOP") == []


async def test_a_client_that_goes_away_is_forgotten(world: World) -> None:
    client = await world.login(select="INBOX")
    await idle(client)
    client.close()
    await eventually(lambda: not len(world.services.followers))
    account = await world.account()
    await account.append("INBOX", [NewMessage(b"x")])
