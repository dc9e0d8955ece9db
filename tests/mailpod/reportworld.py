"""Pods over one bucket that report to other domains: their clock, the DNS, and what was mailed."""

from __future__ import annotations

import email
import email.policy
import random
from gzip import decompress
from typing import Generic, TypeVar

from tests.harness.zone import Zone
from tests.mailpod.store.faults import FakeClock

from mailpod.daily import Means, Sender
from mailpod.store.daycounts import DayCounts
from mailpod.store.memory import MemoryObjects

DAY = 86400.0
NOON = 1764072000.0  # 2025-11-25, 12:00 UTC
T = TypeVar("T")


class ReportWorld(Generic[T]):
    """`sent` are recipients, and reports as `read` gives them."""

    prefix: str

    def __init__(self, *records: str) -> None:
        self.clock, self.zone = FakeClock(NOON), Zone(*records)
        self.bucket = MemoryObjects(self.clock)
        self.sent: list[tuple[str, T]] = []

    def read(self, packed: bytes) -> T:
        raise NotImplementedError

    def means(self, seed: int) -> Means:
        rng = random.Random(seed)
        return Means(
            store=lambda: DayCounts(self.bucket, self.clock, rng, self.prefix),
            resolver=self.zone.resolver(self.clock),
            clock=self.clock,
            rng=rng,
            sender=self.sender,
            send_mail=self.mail,
        )

    async def sender(self) -> Sender | None:
        return Sender("ours.example", "postmaster@ours.example")

    async def mail(self, sender: Sender, recipient: str, message: bytes) -> None:
        _, attached = email.message_from_bytes(message, policy=email.policy.default).iter_parts()
        self.sent.append((recipient, self.read(decompress(attached.get_content()))))
