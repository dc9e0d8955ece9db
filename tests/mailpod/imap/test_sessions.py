"""Several sessions with random commands on one mailbox: what each was told, replayed, must be the server's state.

The replica knows only RFC 3501: EXISTS, EXPUNGE, FETCH, and that its own STORE.SILENT worked unless it is told better.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from tests.mailpod.imap.selected import Client, Desk, desk, letter

FLAGS = ("\\Seen", "\\Flagged", "\\Deleted", "\\Answered", "work")
MODES: dict[str, Callable[[set[str], set[str]], set[str]]] = {
    "+FLAGS": set.union,
    "-FLAGS": set.difference,
    "FLAGS": lambda old, new: set(new),
}
LITERAL = re.compile(rb"\{10\}\r\nHi there\r\n")  # all bodies here
HOLDS_BACK = re.compile(r"(FETCH|STORE|SEARCH) ")


@dataclass
class Message:
    uid: int | None = None
    flags: set[str] | None = None


@dataclass
class Replica:
    """A client's idea of the mailbox."""

    client: Client
    messages: list[Message] = field(default_factory=list)

    @classmethod
    async def select(cls, at: Desk, read_only: bool) -> Replica:
        client = at.select(read_only=read_only)
        replica = cls(client, [Message() for _ in range(client.view.exists)])
        await replica.say("FETCH 1:* (UID FLAGS)")
        return replica

    async def say(self, command: str, literal: bytes | None = None) -> bytes:
        answer = await self.client.say(command, literal)
        for line in LITERAL.sub(b"", answer).split(b"\r\n"):
            self.hear(line, held_back=HOLDS_BACK.match(command) is not None)
        return answer

    def hear(self, line: bytes, held_back: bool) -> None:
        if found := re.match(rb"\* (\d+) EXISTS", line):
            assert int(found[1]) >= len(self.messages), "RFC 3501 §7.3.1: EXISTS never shrinks a mailbox"
            self.messages += [Message() for _ in range(int(found[1]) - len(self.messages))]
        elif found := re.match(rb"\* (\d+) EXPUNGE", line):
            assert not held_back, "RFC 3501 §7.4.1"
            del self.messages[int(found[1]) - 1]
        elif found := re.match(rb"\* (\d+) FETCH \(", line):
            self.hear_fetch(self.messages[int(found[1]) - 1], line)

    def hear_fetch(self, message: Message, line: bytes) -> None:
        if found := re.search(rb"UID (\d+)", line):
            assert message.uid in (None, int(found[1])), "a number names the same message until it is told otherwise"
            message.uid = int(found[1])
        if found := re.search(rb"FLAGS \(([^)]*)\)", line):
            message.flags = set(found[1].decode().split()) - {"\\Recent"}

    async def store_silently(self, numbers: list[int], mode: str, flags: set[str]) -> None:
        for number in numbers:
            message = self.messages[number - 1]
            if message.flags is not None:
                message.flags = MODES[mode](message.flags, flags)
            elif mode == "FLAGS":
                message.flags = set(flags)
        answer = await self.say(f"STORE {listed(numbers)} {mode}.SILENT ({' '.join(sorted(flags))})")
        if b"NO [" in answer:  # some are gone: a client asks again for what is there
            await self.say("FETCH 1:* FLAGS")


def listed(numbers: list[int]) -> str:
    return ",".join(map(str, numbers))


async def act(replica: Replica, rng: random.Random) -> None:
    """One random command."""
    count = len(replica.messages)
    numbers = rng.sample(range(1, count + 1), min(count, rng.randint(1, 4)))
    flags = set(rng.sample(FLAGS, rng.randint(1, 2)))
    kind = rng.choice(("noop", "append", "store", "silent", "fetch", "body", "uid", "expunge", "move", "search"))
    if kind == "append" or not numbers:
        await replica.say("APPEND INBOX", letter(str(rng.random())))
    elif kind == "silent" and not replica.client.read_only:
        await replica.store_silently(numbers, rng.choice(list(MODES)), flags)
    else:
        await replica.say(
            {
                "store": f"STORE {listed(numbers)} {rng.choice(list(MODES))} ({' '.join(sorted(flags))})",
                "fetch": f"FETCH {listed(numbers)} (FLAGS UID)",
                "body": f"FETCH {listed(numbers)} BODY[TEXT]",
                "uid": f"UID FETCH {rng.randint(1, 60)}:* (RFC822.SIZE FLAGS)",
                "expunge": "EXPUNGE",
                "move": f"MOVE {listed(numbers[:2])} {rng.choice(('Archive', 'INBOX'))}",
                "search": "SEARCH UNSEEN",
            }.get(kind, "NOOP")
        )


def agrees(replica: Replica) -> None:
    """At any time: the numbers are those that the server takes them for."""
    view = replica.client.view
    assert len(replica.messages) == view.exists
    for number, message in enumerate(replica.messages, 1):
        assert message.uid in (None, view.uid_of(number))
        assert view.seq_of(view.uid_of(number)) == number


def final(replica: Replica) -> None:
    """After a NOOP in the quiet: everything that the client thinks it knows is so."""
    box = replica.client.view.mailbox
    assert len(replica.messages) == box.exists
    for message, uid, index in zip(replica.messages, box.uids, box.flags, strict=True):
        assert message.uid in (None, uid)
        assert message.flags is None or message.flags == set(box.flag_sets[index]), f"flags of UID {uid}"


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
    lines = (await replica.say("FETCH 1:* (UID FLAGS)")).split(b"\r\n")
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
        await play(rng, replicas := [await Replica.select(pod, False) for pod in (at, other, at, other)])
        for replica in replicas:
            await settle(replica)
        await other.close()
