"""What must be true, whatever happened: checked against the bucket's truth after every commit and every step.

Each message that a client sends carries a number of its own in its subject; each acknowledged change is noted. An
operation without an answer may have happened, at any later time, once or not at all.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from mailpod.store.names import log_key
from mailpod.store.ops import Header, decode_header
from mailpod.store.state import State

from .bucket import Bucket


class Broken(AssertionError):
    """An invariant does not hold; the text says which and where."""


@dataclass
class Copy:
    """One message in one mailbox, as clients know it."""

    number: int
    acknowledged: bool
    uid: int | None = None
    gone: str = "no"  # "asked": an expunge without an answer; "yes": an acknowledged one
    flags: dict[str, bool] = field(default_factory=dict)  # acknowledged, with nothing asked after
    unsure: set[str] = field(default_factory=set)  # flags that an unanswered command may have changed


@dataclass
class Oracle:
    """The account's history as its clients were told it."""

    bucket: Bucket
    prefix: str
    copies: dict[int, Copy] = field(default_factory=dict)
    state: State = field(default_factory=State)
    uids: dict[tuple[int, int], int] = field(default_factory=dict)  # (mailbox, UID) -> number of the message
    subjects: dict[tuple[int, int], int] = field(default_factory=dict)

    def committed(self, key: str, data: bytes) -> None:
        """Called as a commit enters the log: the truth is replayed as it grows."""
        if not key.startswith(f"{self.prefix}log/"):
            return
        end = data.index(b"\n")
        header = decode_header(data[:end])
        if header.seq != self.state.head + 1 or header.prev != self.state.head_id:
            return  # a late writer's, above a hole or on a collected name: readers must not believe it
        before = {box.id: (box.uidnext, box.highest_modseq) for box in self.state.boxes.values()}
        self.state.apply(header, end + 1)
        self._follow(header, data[end + 1 :])
        for box in self.state.boxes.values():
            uidnext, modseq = before.get(box.id, (1, 1))
            if box.uidnext < uidnext or box.highest_modseq < modseq:
                raise Broken(f"UIDNEXT or HIGHESTMODSEQ of mailbox {box.id} fell at {header.seq}")
            if list(box.uids) != sorted(set(box.uids)):
                raise Broken(f"UIDs of mailbox {box.id} do not ascend at {header.seq}")

    def _follow(self, header: Header, body: bytes) -> None:
        for op in header.ops:
            kind = type(op).__name__
            if kind == "Append":
                self._enter(op.box, op.uid, int(op.rec.env.split('"')[1].split()[1]))  # type: ignore[union-attr]
            elif kind == "Copy":
                for offset, number in enumerate(self._numbers(op)):
                    self._enter(op.to, op.first + offset, number)  # type: ignore[union-attr]

    def _numbers(self, op: object) -> list[int]:
        from mailpod.store.uidset import decode_uids

        return [self.uids[op.box, uid] for uid in decode_uids(op.uids)]  # type: ignore[attr-defined]

    def _enter(self, box: int, uid: int, number: int) -> None:
        if (box, uid) in self.uids:
            raise Broken(f"UID {uid} of mailbox {box} was given twice")
        self.uids[box, uid] = number

    def check(self, state: State, who: str) -> None:
        """A state that somebody serves must be one that the log had: at its head, the truth."""
        if state.head == self.state.head and state.digest() != self.state.digest():
            raise Broken(
                f"{who} serves a state at {state.head} that is not the log's: {_difference(state, self.state)}"
            )
        if state.head > self.state.head:
            raise Broken(f"{who} is at {state.head}, above the log's head {self.state.head}")

    def verdict(self) -> None:
        """At the end, against the truth: everything acknowledged is there once, and as it was left."""
        places: dict[int, list[tuple[int, int]]] = {}
        for box in self.state.boxes.values():
            for uid in box.uids:
                places.setdefault(self.uids[box.id, uid], []).append((box.id, uid))
        for number, copy in self.copies.items():
            found = places.pop(number, [])
            if len(found) > 1:
                raise Broken(f"message {number} is there {len(found)} times")
            if not found and copy.acknowledged and copy.gone == "no":
                raise Broken(f"message {number} was acknowledged and is lost")
            if found and copy.gone == "yes":
                raise Broken(f"message {number} was expunged, acknowledged, and is there")
            if found:
                self._check_flags(copy, *found[0])
        if places:
            raise Broken(f"messages that nobody sent: {sorted(places)}")

    def _check_flags(self, copy: Copy, box: int, uid: int) -> None:
        mailbox = self.state.boxes[box]
        flags = mailbox.flag_sets[mailbox.flags[mailbox.index(uid)]]
        for flag, wanted in copy.flags.items():
            if flag not in copy.unsure and (flag in flags) != wanted:
                raise Broken(f"message {copy.number}: {flag} was acknowledged as {wanted}, and is not")

    def check_commit_chain(self) -> None:
        """No hole between the newest checkpoint (or the beginning) and the head."""
        checkpoints = self.bucket.list(f"{self.prefix}checkpoint/", limit=1)
        floor = 10**20 - 1 - int(checkpoints[0].key[-20:]) if checkpoints else 0
        for sequence in range(floor + 1, self.state.head + 1):
            if log_key(self.prefix, sequence) not in self.bucket.objects:
                raise Broken(f"commit {sequence} is gone, above the newest checkpoint {floor}")


def numbers(rng: random.Random, copies: dict[int, Copy], count: int) -> list[Copy]:
    known = [copy for copy in copies.values() if copy.acknowledged and copy.gone == "no"]
    return rng.sample(known, min(count, len(known)))


def _difference(one: State, other: State) -> str:
    for mine, truth in zip(_flat(one.digest()), _flat(other.digest()), strict=False):
        if mine != truth:
            return f"{mine!r:.300} and not {truth!r:.300}"
    return "?"


def _flat(digest: object) -> list[object]:
    """The digest's parts, a mailbox's fields each on their own."""
    parts = list(digest)  # type: ignore[call-overload]
    return [*parts[:-1], *(value for box in parts[-1] for value in zip(range(20), box, strict=False))]
