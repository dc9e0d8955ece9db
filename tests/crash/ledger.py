"""What was sent, what was acknowledged, and what that makes of the mail that is there after the kills.

- One transaction, one id: a worker that lost its connection before the answer never sends that id again, so an id
  that is there twice was doubled by the server (DECISIONS.md, "Lost and doubled").
- Acknowledged means that the answer 250 (or the tagged OK of APPEND) was read whole.
- Each message carries the SHA-256 of its own body, so damage shows without knowing what was sent.
"""

from __future__ import annotations

import hashlib
import random
import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

IDENTITY = re.compile(rb"^X-Transaction: (\S+)\r$", re.MULTILINE)
CHECKSUM = re.compile(rb"^X-Checksum: (\S+)\r$", re.MULTILINE)
SIZES = (10, 500, 4_000, 4_000, 17_000, 60_000)
LARGE = 2_500_000
"""Over the store's inline limit of 2 MiB, so that packs are in it; one letter in 200."""


@dataclass(slots=True)
class Verdict:
    """What is wrong; all empty when nothing is."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled or self.damaged or self.foreign)


class Ledger:
    """Threads share one. `letter` opens a transaction, `acknowledge` closes it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.lock = threading.Lock()
        self.rng = random.Random(seed)
        self.sent: dict[str, list[str]] = {}
        self.acknowledged: set[str] = set()

    def letter(self, recipients: Sequence[str]) -> tuple[str, bytes]:
        """A new transaction's id and its message, for these addresses."""
        with self.lock:
            number = len(self.sent)
            identity = f"{self.seed}.{number}"
            size = LARGE if self.rng.randrange(200) == 0 else self.rng.choice(SIZES)
            body = lines(self.rng.randbytes(16).hex().encode(), size)
            self.sent[identity] = list(recipients)
        checksum = hashlib.sha256(body).hexdigest()
        head = f"Subject: {identity}\r\nX-Transaction: {identity}\r\nX-Checksum: {checksum}\r\n\r\n"
        return identity, head.encode() + body

    def acknowledge(self, identity: str) -> None:
        with self.lock:
            self.acknowledged.add(identity)

    def judge(self, found: Mapping[str, Sequence[bytes]]) -> Verdict:
        """Compare with the messages that are there, by address."""
        verdict = Verdict()
        for address, messages in found.items():
            counts = Counter(self._identify(address, message, verdict) for message in messages)
            wanted = {identity for identity in self.acknowledged if address in self.sent[identity]}
            verdict.lost += [f"{address} {identity}" for identity in sorted(wanted - set(counts))]
            verdict.doubled += [f"{address} {identity}" for identity, count in counts.items() if identity and count > 1]
        return verdict

    def _identify(self, address: str, message: bytes, verdict: Verdict) -> str:
        """The transaction of a message; what is wrong with the message goes to the verdict."""
        head, _, body = message.partition(b"\r\n\r\n")
        identity, checksum = IDENTITY.search(head + b"\r\n"), CHECKSUM.search(head + b"\r\n")
        if identity is None or checksum is None:
            verdict.damaged.append(f"{address} {message[:100]!r}")
            return ""
        name = identity[1].decode()
        if hashlib.sha256(body).hexdigest().encode() != checksum[1]:
            verdict.damaged.append(f"{address} {name}: {len(body)} bytes")
        if address not in self.sent.get(name, []):
            verdict.foreign.append(f"{address} {name}")
        return name


def lines(seed: bytes, size: int) -> bytes:
    """About `size` bytes in lines, of which no two letters have the same."""
    count = max(1, size // (len(seed) + 10))
    return b"".join(b"%s %06d\r\n" % (seed, number) for number in range(count))
