"""Several sessions with random commands on one mailbox: what each was told, replayed, must be the server's state."""

from __future__ import annotations

import asyncio
import random

import pytest
from tests.mailpod.imap.replicas import Replica, act, agrees, final
from tests.mailpod.imap.selected import desk, letter


async def play(rng: random.Random, replicas: list[Replica]) -> None:
    for _ in range(40):
        busy = rng.sample(replicas, rng.randint(1, 3))
        await asyncio.gather(*(act(replica, rng) for replica in busy))
        for replica in replicas:
            agrees(replica)


async def settle(replica: Replica) -> list[int]:
    """A last look: nothing that the client knew was wrong, and nothing new is. Returns what is \\Recent for it."""
    await replica.say("NOOP")
    final(replica)
    lines = (await replica.say(replica.everything)).split(b"\r\n")
    final(replica)
    assert all(message.uid and message.flags is not None for message in replica.messages)
    return [int(line.split()[4]) for line in lines if b"\\Recent" in line]


@pytest.mark.parametrize("seed", range(25))
async def test_what_sessions_were_told_is_the_servers_state(seed: int) -> None:
    rng = random.Random(seed)
    async with desk(change_log=rng.choice((8, 50_000)), checkpoint_commits=rng.choice((2, 16))) as at:
        await at.deliver(*[letter(str(n)) for n in range(rng.randint(0, 12))])
        replicas = [await Replica.select(at, read_only=n == 3) for n in range(4)]
        await play(rng, replicas)
        recent = [await settle(replica) for replica in replicas]
        once = [uid for uids in recent[:3] for uid in uids]
        assert len(once) == len(set(once)), "RFC 3501 §2.3.2: \\Recent in one session only"


@pytest.mark.parametrize("seed", range(10))
async def test_sessions_on_two_pods(seed: int) -> None:
    rng = random.Random(seed)
    async with desk(change_log=rng.choice((8, 50_000)), checkpoint_commits=rng.choice((2, 16))) as at:
        await at.deliver(*[letter(str(n)) for n in range(rng.randint(0, 12))])
        other = await at.other_pod()
        await play(rng, replicas := [await Replica.select(pod) for pod in (at, other, at, other)])
        for replica in replicas:
            await settle(replica)
        await other.close()


async def with_condstore(seed: int, rounds: int = 1) -> None:
    rng = random.Random(seed)
    async with desk(change_log=rng.choice((1, 8, 50_000)), checkpoint_commits=rng.choice((2, 16))) as at:
        await at.deliver(*[letter(str(n)) for n in range(rng.randint(0, 12))])
        other = await at.other_pod()
        kinds = ("qresync", "condstore", "qresync", "plain")
        pods = rng.choice(((at, at, at, at), (at, other, other, at)))
        replicas = [await Replica.select(pod, kind) for pod, kind in zip(pods, kinds, strict=True)]
        for _ in range(rounds):
            await play(rng, replicas)
            for replica in replicas:
                await replica.say("NOOP")
            for replica in replicas:
                await settle(replica)
        await other.close()


@pytest.mark.parametrize("seed", range(25))
async def test_sessions_with_condstore_and_qresync(seed: int) -> None:
    await with_condstore(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1040))
async def test_sessions_with_condstore_and_qresync_for_long(seed: int) -> None:
    await with_condstore(seed, rounds=10)
