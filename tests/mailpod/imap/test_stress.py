"""Sessions of one mailbox under stress, after imaptest: own flags, reconnects with QRESYNC, connections that end in the
middle, and checkpoints at which all must know the same mailbox."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.mailpod.imap.dialogue import World, end_world, other_pod
from tests.mailpod.imap.stress import Shared, Stress


async def play(pods: list[World], seed: int, rounds: int, commands: int) -> None:
    shared = Shared()
    clients = [
        Stress(shared, pods[number % len(pods)], number, random.Random(seed * 10 + number), qresync=number % 2 == 0)
        for number in range(4)
    ]
    for client in clients:
        await client.come()
    for _ in range(rounds):
        await asyncio.gather(*(run(client, commands) for client in clients))
        await checkpoint(clients)


async def run(client: Stress, commands: int) -> None:
    for _ in range(commands):
        await client.act()


async def checkpoint(clients: list[Stress]) -> None:
    for client in clients:
        await client.say(b"CHECK")
    views = [await client.everything() for client in clients]
    first = [(uid, flags) for uid, flags, _ in views[0]]
    for view in views[1:]:
        assert [(uid, flags) for uid, flags, _ in view] == first
    for client in clients:
        assert client.keywords == clients[0].keywords, "a keyword that only some were told of"
        assert client.recent == sum(message.recent for message in client.messages), "RFC 3501 §7.3.2"
    for pod in {id(client.pod): client.pod for client in clients}.values():
        recent = sum(client.recent for client in clients if client.pod is pod)
        assert recent <= len(views[0]), "\\Recent in more sessions than one"
    assert views[0] == views[2], "the same MODSEQ for both that asked for it"
    assert not {uid for uid, _ in first} & clients[0].shared.gone, "an expunged UID is there again"


@pytest.mark.parametrize("seed", range(4))
async def test_sessions_on_one_pod(world: World, seed: int) -> None:
    await play([world], seed, rounds=3, commands=20)


@pytest.mark.parametrize("seed", range(100, 103))
async def test_sessions_on_two_pods(world: World, seed: int) -> None:
    other = await other_pod(world)
    await play([world, other], seed, rounds=3, commands=16)
    await end_world(other)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1002))
async def test_for_long(world: World, seed: int) -> None:
    other = await other_pod(world)
    await play([world, other], seed, rounds=8, commands=25)
    await end_world(other)
