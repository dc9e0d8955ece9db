"""Random dialogues of several sessions over real connections: pipelined commands, IDLE, clients that leave.

Each client knows only what it is told, and in the quiet at the end, idling, it knows all that there is.
"""

from __future__ import annotations

import asyncio
import random
import re
from types import SimpleNamespace
from typing import Any

import pytest
from tests.mailpod.imap.dialogue import Client, MakeWorld, World, eventually
from tests.mailpod.imap.replicas import FLAGS, HOLDS_BACK, Replica, listed
from tests.mailpod.imap.selected import letter

from mailpod.imap.enabled import Enabled
from mailpod.store import Mailbox, NewMessage

BODY = letter("x")
ENABLE = {"plain": Enabled(), "condstore": Enabled(condstore=True), "qresync": Enabled(condstore=True, qresync=True)}


class Wired(Replica):
    """A client on a connection, with INBOX selected."""

    connection: Client

    @classmethod
    async def connect(cls, world: World, kind: str) -> Wired:
        at: Any = None
        known: Any = SimpleNamespace(enabled=ENABLE[kind])
        replica = cls(at, known)
        replica.connection = await world.login()
        if kind == "qresync":
            await replica.connection.ok(b"ENABLE QRESYNC")
        select = b"SELECT INBOX (CONDSTORE)" if kind == "condstore" else b"SELECT INBOX"
        for line in await replica.connection.ok(select):
            replica.hear(line, held_back=False)
        await replica.batch([f"FETCH 1:* {replica.items}"])
        return replica

    @property
    def items(self) -> str:
        return "(UID FLAGS MODSEQ)" if self.client.enabled.condstore else "(UID FLAGS)"

    async def batch(self, commands: list[str]) -> None:
        """Commands sent in one piece, whose answers come in their order (RFC 3501 §5.5); IDLE only as the last."""
        await self.connection.send(b"".join([b"%d %b\r\n" % (n, self.wire(each)) for n, each in enumerate(commands)]))
        for number, command in enumerate(commands):
            tag = b"%d " % number
            while not (line := await self.connection.line()).startswith(tag):
                assert line.startswith(b"* "), (command, line)
                self.hear(line, held_back=HOLDS_BACK.match(command) is not None)
            assert b" BAD " not in line, (command, line)

    @staticmethod
    def wire(command: str) -> bytes:
        return command.encode() + (b" {%d+}\r\n%b" % (len(BODY), BODY) if command.startswith("APPEND") else b"")

    async def idle(self, until: asyncio.Event) -> None:
        await self.connection.send(b"i IDLE\r\n")
        while (line := await self.connection.line()) != b"+ idling":
            self.hear(line, held_back=False)
        listening = asyncio.ensure_future(self.listen())
        await until.wait()
        await self.connection.send(b"DONE\r\n")
        await listening

    async def listen(self) -> None:
        while not (line := await self.connection.line()).startswith(b"i "):
            self.hear(line, held_back=False)
        assert line == b"i OK IDLE completed"

    def agrees_with(self, box: Mailbox) -> bool:
        """Whether what it knows is so; what it was never told of a message does not count."""
        flags = [set(box.flag_sets[index]) for index in box.flags]
        return len(self.messages) == box.exists and all(
            message.uid in (None, uid) and message.flags in (None, has) and message.modseq in (None, modseq)
            for message, uid, has, modseq in zip(self.messages, box.uids, flags, box.modseqs, strict=True)
        )


def command(rng: random.Random, replica: Wired, *, first: bool) -> str:
    """Numbers are named by the first command of a batch only: after it they may be others' (RFC 3501 §5.5)."""
    uids = sorted(rng.sample(range(1, 40), 3))
    known = range(1, len(replica.messages) + 1)
    numbers = listed(sorted(rng.sample(known, min(len(known), 3))))
    flags = " ".join(rng.sample(FLAGS, 2))
    choices = [
        f"UID STORE {listed(uids)} {rng.choice(('+FLAGS', '-FLAGS', 'FLAGS'))} ({flags})",
        f"UID FETCH {listed(uids)} (FLAGS BODY.PEEK[TEXT])",
        f"UID COPY {uids[0]} INBOX",
        f"UID MOVE {uids[0]} {rng.choice(('Archive', 'INBOX'))}",
        *("NOOP", "EXPUNGE", f"UID EXPUNGE {uids[0]}:{uids[1]}", "UID SEARCH UNSEEN", "SEARCH ALL", "CHECK"),
        *("APPEND INBOX",) * 3,
        *(f"STORE {numbers} +FLAGS ({flags})", f"FETCH {numbers} (FLAGS UID)", f"FETCH {numbers} BODY[TEXT]")
        * (first and bool(numbers)),
    ]
    return rng.choice(choices)


async def play(rng: random.Random, world: World, replicas: list[Wired], kinds: list[str]) -> None:
    """One round: some idle, some send batches, and one may leave in the middle of its answers."""
    roles = rng.sample(range(len(replicas)), len(replicas))
    enough = asyncio.Event()
    idle = [asyncio.ensure_future(replicas[at].idle(enough)) for at in roles[: rng.randint(0, 2)]]
    for _ in range(rng.randint(1, 3)):
        busy = [replicas[at] for at in roles[len(idle) :]]
        batches = [[command(rng, each, first=n == 0) for n in range(rng.randint(1, 5))] for each in busy]
        await asyncio.gather(*(each.batch(commands) for each, commands in zip(busy, batches, strict=True)))
    enough.set()
    await asyncio.gather(*idle)
    if rng.random() < 0.2:
        at = roles[-1]
        unheard = [command(rng, replicas[at], first=False) for _ in range(4)]
        await replicas[at].connection.send(b"".join(b"x %b\r\n" % replicas[at].wire(each) for each in unheard))
        await leave(world, replicas[at])
        replicas[at] = await Wired.connect(world, kinds[at])


async def leave(world: World, replica: Wired) -> None:
    """Gone, with what the server had begun for it ended."""
    before = world.sessions()
    replica.connection.close()
    await eventually(lambda: len(world.sessions()) < len(before))
    (gone,) = set(before) - set(world.sessions())
    await eventually(lambda: gone._task is None or gone._task.done())


@pytest.mark.parametrize("seed", range(10))
async def test_several_sessions_that_pipeline_and_idle(make: MakeWorld, seed: int) -> None:
    rng = random.Random(seed)
    world = await make()
    kinds = rng.choice((["plain"] * 4, ["plain", "condstore", "qresync", "qresync"]))
    replicas = [await Wired.connect(world, kind) for kind in kinds]
    for _ in range(12):
        await play(rng, world, replicas, kinds)
    quiet = asyncio.Event()
    idle = [asyncio.ensure_future(replica.idle(quiet)) for replica in replicas]
    account = await world.account()
    box = account.mailbox("INBOX")
    await account.append("INBOX", [NewMessage(BODY)] * 2)
    await account.store_flags(box, [box.uids[-1]], "add", ["done"])
    await account.expunge(box, [box.uids[-2]])
    await eventually(lambda: all(replica.agrees_with(box) for replica in replicas))
    quiet.set()
    await asyncio.gather(*idle)
    for replica in replicas:
        lines = await replica.connection.ok(f"FETCH 1:* {replica.items}".encode())
        for line in lines:
            replica.hear(line, held_back=True)
        assert replica.agrees_with(box)
        assert all(message.uid and message.flags is not None for message in replica.messages)
        assert len(re.findall(rb"FETCH", b"".join(lines))) == box.exists
