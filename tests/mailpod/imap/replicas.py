"""Clients that know only what they are told, for tests with random commands in several sessions.

A replica knows RFC 3501: EXISTS, EXPUNGE, FETCH, and that its own STORE.SILENT worked unless it is told better; with
CONDSTORE and QRESYNC, RFC 7162: MODSEQ, VANISHED, MODIFIED, and how to come back.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.mailpod.imap.selected import Client, Desk, letter

from mailpod.imap import resync
from mailpod.imap.enabled import Enabled
from mailpod.imap.syntax import Resync, SequenceSet

FLAGS = ("\\Seen", "\\Flagged", "\\Deleted", "\\Answered", "work")
MODES: dict[str, Callable[[set[str], set[str]], set[str]]] = {
    "+FLAGS": set.union,
    "-FLAGS": set.difference,
    "FLAGS": lambda old, new: set(new),
}
KINDS: dict[str, Enabled] = {
    "plain": Enabled(),
    "condstore": Enabled(condstore=True),
    "qresync": Enabled(condstore=True, qresync=True),
}
LITERAL = re.compile(rb"\{10\}\r\nHi there\r\n")  # all bodies here
HOLDS_BACK = re.compile(r"(FETCH|STORE|SEARCH) ")


@dataclass
class Message:
    uid: int | None = None
    flags: set[str] | None = None
    modseq: int | None = None  # of these flags


@dataclass
class Replica:
    """A client's idea of the mailbox. `through`: the MODSEQ up to which it knows everything."""

    at: Desk
    client: Client
    messages: list[Message] = field(default_factory=list)
    highest: int = 0  # MODSEQ told
    through: int = 0

    @classmethod
    async def select(cls, at: Desk, kind: str = "plain", *, read_only: bool = False) -> Replica:
        enabled = Enabled(KINDS[kind].condstore, KINDS[kind].qresync)
        client = at.select(read_only=read_only, enabled=enabled)
        through = client.view.mailbox.highest_modseq
        replica = cls(at, client, [Message() for _ in range(client.view.exists)], through, through)
        await replica.say(replica.everything)
        return replica

    @property
    def everything(self) -> str:
        return f"FETCH 1:* (UID FLAGS{' MODSEQ' if self.client.enabled.condstore else ''})"

    async def say(self, command: str, literal: bytes | None = None) -> bytes:
        answer = await self.client.say(command, literal)
        held_back = HOLDS_BACK.match(command) is not None
        for line in LITERAL.sub(b"", answer).split(b"\r\n"):
            self.hear(line, held_back=held_back)
        if not held_back:
            self.through = self.highest
        return answer

    def hear(self, line: bytes, held_back: bool) -> None:
        if found := re.match(rb"\* (\d+) EXISTS", line):
            assert int(found[1]) >= len(self.messages), "RFC 3501 §7.3.1: EXISTS never shrinks a mailbox"
            self.messages += [Message() for _ in range(int(found[1]) - len(self.messages))]
        elif found := re.match(rb"\* (\d+) EXPUNGE", line):
            assert not held_back, "RFC 3501 §7.4.1"
            assert not self.client.enabled.qresync, "RFC 7162 §3.2.10"
            del self.messages[int(found[1]) - 1]
        elif found := re.match(rb"\* VANISHED ([0-9:,]+)", line):
            assert not held_back and self.client.enabled.qresync
            for uid in numbers(found[1]):
                self.forget(uid)
        elif found := re.match(rb"\* (\d+) FETCH \(", line):
            self.hear_fetch(self.messages[int(found[1]) - 1], line)
        elif found := re.search(rb"\[HIGHESTMODSEQ (\d+)\]", line):
            # RFC 7162 §6: it counts, even where higher ones were told; what is held back is above it
            assert int(found[1]) >= self.through
            self.highest = self.through = int(found[1])

    def forget(self, uid: int) -> None:
        """A message is gone, perhaps one of those of which not even the UID was asked for."""
        for at, message in enumerate(self.messages):
            if message.uid == uid:
                del self.messages[at]
                return
        after = max((at for at, message in enumerate(self.messages) if message.uid and message.uid < uid), default=-1)
        gone = self.messages.pop(after + 1)
        assert gone.uid is None, f"UID {uid} is not among what the client was told of"
        for message in self.messages[after + 1 :]:
            if message.uid is not None:
                break
            message.flags = message.modseq = None  # it may have been this one

    def hear_fetch(self, message: Message, line: bytes) -> None:
        if found := re.search(rb"UID (\d+)", line):
            assert message.uid in (None, int(found[1])), "a number names the same message until it is told otherwise"
            message.uid = int(found[1])
        if found := re.search(rb"FLAGS \(([^)]*)\)", line):
            message.flags = set(found[1].decode().split()) - {"\\Recent"}
            message.modseq = None
        if found := re.search(rb"MODSEQ \((\d+)\)", line):
            assert self.client.enabled.condstore
            message.modseq = int(found[1])
            self.highest = max(self.highest, message.modseq)

    async def store_silently(self, chosen: list[int], mode: str, flags: set[str], since: int | None) -> None:
        before = [self.messages[number - 1] for number in chosen]
        old = [message.flags for message in before]
        for message in before:
            message.modseq = None
            if message.flags is not None:
                message.flags = MODES[mode](message.flags, flags)
            elif mode == "FLAGS":
                message.flags = set(flags)
        told = list(self.messages)
        condition = f"(UNCHANGEDSINCE {since}) " if since is not None else ""
        answer = await self.client.say(f"STORE {listed(chosen)} {condition}{mode}.SILENT ({' '.join(sorted(flags))})")
        if found := re.search(rb"\[MODIFIED ([0-9:,]+)\]", answer):
            failed = [told[number - 1] for number in numbers(found[1])]
            for message, flags_before in zip(before, old, strict=True):
                if any(message is each for each in failed):
                    message.flags = flags_before
        for line in answer.split(b"\r\n"):
            self.hear(line, held_back=True)
        if b"NO [" in answer:  # some are gone: a client asks again for what is there
            await self.say(self.everything)

    def come_back(self) -> None:
        """The connection is lost, and the mailbox selected again with what is remembered (RFC 7162 §3.2.5)."""
        known = {message.uid: message for message in self.messages if message.uid}
        ranges = tuple((uid, uid) for uid in sorted(known))
        self.client = self.at.select(enabled=self.client.enabled)
        view = self.client.view
        parameter = Resync(view.mailbox.uidvalidity, self.through, SequenceSet(ranges) if ranges else None)
        answer = b"".join(resync.responses(view, parameter))
        for found in re.findall(rb"VANISHED \(EARLIER\) ([0-9:,]+)", answer):
            for uid in numbers(found):
                known.pop(uid, None)
        self.messages = [known.get(uid, Message(uid)) for uid in view.uids[: view.exists]]
        assert known.keys() <= set(view.uids), "what is gone was said to be gone"
        for line in answer.split(b"\r\n"):
            if b" FETCH " in line:
                self.hear(line, held_back=False)
        self.highest = self.through = view.mailbox.highest_modseq


def numbers(text: bytes) -> list[int]:
    """The members of a sequence set."""
    pairs = (word.split(b":") for word in text.split(b","))
    return [number for pair in pairs for number in range(int(pair[0]), int(pair[-1]) + 1)]


def listed(chosen: list[int]) -> str:
    return ",".join(map(str, chosen))


async def act(replica: Replica, rng: random.Random) -> None:
    """One random command."""
    count = len(replica.messages)
    chosen = rng.sample(range(1, count + 1), min(count, rng.randint(1, 4)))
    flags = set(rng.sample(FLAGS, rng.randint(1, 2)))
    condstore = replica.client.enabled.condstore
    since = rng.choice((None, replica.through, replica.through - 2)) if condstore else None
    kinds = ["noop", "append", "store", "silent", "fetch", "body", "uid", "expunge", "move", "search", "copy"]
    kind = rng.choice([*kinds, "changed", "back"] if replica.client.enabled.qresync else kinds)
    if kind == "append" or not chosen:
        await replica.say("APPEND INBOX", letter(str(rng.random())))
    elif kind == "silent" and not replica.client.read_only:
        await replica.store_silently(chosen, rng.choice(list(MODES)), flags, since)
    elif kind == "back":
        replica.come_back()
    else:
        condition = f"(UNCHANGEDSINCE {since}) " if since is not None else ""
        await replica.say(
            {
                "store": f"STORE {listed(chosen)} {condition}{rng.choice(list(MODES))} ({' '.join(sorted(flags))})",
                "fetch": f"FETCH {listed(chosen)} (FLAGS UID)",
                "body": f"FETCH {listed(chosen)} BODY[TEXT]",
                "uid": f"UID FETCH {rng.randint(1, 60)}:* (RFC822.SIZE FLAGS)",
                "changed": f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {max(replica.through, 1)} VANISHED)",
                "expunge": rng.choice(("EXPUNGE", f"UID EXPUNGE {rng.randint(1, 60)}:*")),
                "move": f"MOVE {listed(chosen[:2])} {rng.choice(('Archive', 'INBOX'))}",
                "copy": f"COPY {listed(chosen[:2])} INBOX",
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
    for message, uid, index, modseq in zip(replica.messages, box.uids, box.flags, box.modseqs, strict=True):
        assert message.uid in (None, uid)
        assert message.flags is None or message.flags == set(box.flag_sets[index]), f"flags of UID {uid}"
        assert message.modseq in (None, modseq), f"MODSEQ of UID {uid}"
