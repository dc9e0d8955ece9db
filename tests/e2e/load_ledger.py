"""What the load's clients were promised, and what that makes of the mail that is there afterwards. No I/O.

- One transaction, one identity: a client that lost the final answer sends its message again under a new one. The old
  one may then be there once or not at all (DECISIONS.md, "Lost and doubled").
- A flag change, or a POP3 deletion, whose answer was lost leaves its message out of later judgement: it may still land.
- `moment` counts what happened. A client notes it before it asks, and is shown no less than was true then.
"""

from __future__ import annotations

import enum
import hashlib
import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field

from tests.crash.ledger import CHECKSUM, IDENTITY, lines

SIZES = (300, 1_000, 3_000, 3_000, 8_000, 20_000)
LARGE = 2_500_000
"""Over the store's inline limit of 2 MiB: one letter in `LARGE_EVERY` goes by a pack."""
LARGE_EVERY = 800
KEYWORDS = ("\\Flagged", "\\Answered", "$Done")


class Fate(enum.Enum):
    """How far a transaction came."""

    OPEN = "open"  # its final dot never left: it must not be there
    SENT = "sent"  # no answer: there or not, once at most
    ACKNOWLEDGED = "acknowledged"


@dataclass(slots=True)
class Letter:
    identity: str
    recipients: tuple[str, ...]
    data: bytes = field(repr=False)
    fate: Fate = Fate.OPEN


@dataclass(slots=True)
class Marks:
    """The flags of one message as they were acknowledged, since `moment`."""

    flags: frozenset[str] = frozenset()
    moment: int = 0
    busy: bool = False
    unsure: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it is there. Without an identity, or not whole, it is damaged."""

    identity: str
    whole: bool
    flags: frozenset[str] = frozenset()

    @classmethod
    def of(cls, message: bytes, flags: Iterable[str] = ()) -> Stored:
        head, _, body = message.partition(b"\r\n\r\n")
        identity, checksum = IDENTITY.search(head + b"\r\n"), CHECKSUM.search(head + b"\r\n")
        if identity is None or checksum is None:
            return cls("", False)
        whole = hashlib.sha256(body).hexdigest().encode() == checksum[1]
        return cls(identity[1].decode(), whole, frozenset(flags) - {"\\Recent"})


@dataclass(slots=True)
class Verdict:
    """What is wrong; all empty when nothing is."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    """Never sent, sent to others, or deleted with an acknowledgement."""
    flags: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(asdict(self).values())


class Ledger:
    """`drained` are the addresses whose mail POP3 clients delete."""

    def __init__(self, seed: int, drained: Collection[str] = ()) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.drained = frozenset(drained)
        self.letters: dict[str, Letter] = {}
        self.moment = 0
        self.deleted: set[tuple[str, str]] = set()
        self.deleting: set[tuple[str, str]] = set()
        self._marks: dict[tuple[str, str], Marks] = {}
        self._alone: Counter[str] = Counter()
        self._newest: dict[str, str] = {}

    # messages

    def letter(self, recipients: Collection[str]) -> Letter:
        """A new transaction."""
        identity = f"{self.seed}.{len(self.letters)}"
        large = len(self.letters) % LARGE_EVERY == LARGE_EVERY // 2
        body = lines(self.rng.randbytes(16).hex().encode(), LARGE if large else self.rng.choice(SIZES))
        checksum = hashlib.sha256(body).hexdigest()
        head = f"Subject: {identity}\r\nX-Transaction: {identity}\r\nX-Checksum: {checksum}\r\n\r\n"
        letter = self.letters[identity] = Letter(identity, tuple(recipients), head.encode() + body)
        return letter

    def acknowledge(self, letter: Letter) -> None:
        letter.fate, letter.data = Fate.ACKNOWLEDGED, b""
        self.moment += 1
        if len(letter.recipients) == 1:  # to several it may come a little later, to each in its time
            (address,) = letter.recipients
            self._alone[address] += 1
            self._newest[address] = letter.identity

    def floor(self, address: str) -> int:
        """How many messages a session that begins now must be shown at least."""
        return 0 if address in self.drained else self._alone[address]

    def newest(self, address: str) -> str | None:
        """The message that was acknowledged last, which a session that begins now must be shown."""
        return self._newest.get(address)

    def known(self, address: str, stored: Stored) -> bool:
        """Whether such a message may be there: whole, sent, and sent to this address."""
        letter = self.letters.get(stored.identity)
        return stored.whole and letter is not None and letter.fate is not Fate.OPEN and address in letter.recipients

    # flags

    def claim(self, address: str, identity: str) -> Marks | None:
        """The marks of a message for one client to change; None: another is at it, or nobody knows what they are."""
        marks = self._marks.setdefault((address, identity), Marks())
        if marks.busy or marks.unsure or identity not in self.letters:
            return None
        self.moment += 1
        marks.busy, marks.moment = True, self.moment
        return marks

    def marked(self, marks: Marks, flags: frozenset[str]) -> None:
        """The change was acknowledged."""
        self.moment += 1
        marks.flags, marks.busy, marks.moment = flags, False, self.moment

    def unsure(self, marks: Marks) -> None:
        """The change was sent, and its answer lost."""
        marks.busy, marks.unsure = False, True

    def wrong_flags(self, address: str, stored: Stored, since: int) -> str:
        """What is wrong with the flags that a client was shown which asked at the moment `since`; empty: nothing."""
        marks = self._marks.get((address, stored.identity), Marks())
        if marks.busy or marks.unsure or marks.moment > since or stored.flags == marks.flags:
            return ""
        return f"{address} {stored.identity}: {sorted(stored.flags)}, acknowledged {sorted(marks.flags)}"

    # the end

    def judge(self, found: Mapping[str, Collection[Stored]]) -> Verdict:
        """Compare with all that is there, by address."""
        verdict = Verdict()
        for address, messages in found.items():
            counts = Counter(stored.identity for stored in messages)
            wanted = {
                letter.identity
                for letter in self.letters.values()
                if letter.fate is Fate.ACKNOWLEDGED and address in letter.recipients
            }
            gone = {identity for owner, identity in self.deleted | self.deleting if owner == address}
            verdict.lost += [f"{address} {identity}" for identity in sorted(wanted - gone - set(counts))]
            verdict.doubled += [f"{address} {identity}" for identity, count in counts.items() if count > 1]
            for stored in messages:
                self._look(address, stored, verdict)
        return verdict

    def _look(self, address: str, stored: Stored, verdict: Verdict) -> None:
        name = f"{address} {stored.identity}"
        if not stored.whole:
            verdict.damaged.append(name)
        elif not self.known(address, stored) or (address, stored.identity) in self.deleted:
            verdict.foreign.append(name)
        elif wrong := self.wrong_flags(address, stored, self.moment):
            verdict.flags.append(wrong)

    @property
    def unknown(self) -> int:
        """Messages whose final answer was lost."""
        return sum(letter.fate is Fate.SENT for letter in self.letters.values())

    @property
    def unsure_flags(self) -> int:
        return sum(marks.unsure for marks in self._marks.values())
