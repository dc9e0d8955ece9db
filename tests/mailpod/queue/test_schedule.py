"""Hours of a queue in a moment: the clock is the loop's own, which passes only when nobody has anything to do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from prometheus_client import REGISTRY
from tests.mailpod.clocks import LoopClock
from tests.simulation.loop import run

from mailpod.dkim.signer import Signer
from mailpod.net.budget import Budget
from mailpod.queue.schedule import Known, Schedule
from mailpod.queue.settings import QueueSettings
from mailpod.queue.spool import Spool
from mailpod.relay.destinations import Destinations
from mailpod.relay.settings import OutboundSettings
from mailpod.store.memory import MemoryObjects
from mailpod.store.outbound import SpoolEntry, Standing
from mailpod.store.outcome import Outcome

HOUR = 3600.0
BUSY = Outcome("delayed", "4.7.1", "451 4.7.1 come back later", "mx.far.test", said=True)


class FakeRelay:
    """Answers by the time of day, and remembers when it was asked; notices it keeps."""

    def __init__(self, clock: LoopClock, answer: Callable[[float], Outcome]) -> None:
        self.clock, self.answer = clock, answer
        self.destinations = Destinations(OutboundSettings(), clock, random.Random(1))
        self.asked: list[float] = []
        self.notices: list[tuple[float, bytes]] = []
        self.late: list[float] = []  # every ten minutes, how late an attempt is: what MailpodQueueStuck looks at

    def destination(self, recipient: str) -> str:
        return recipient.partition("@")[2]

    def cut(self) -> None:
        """No attempt lasts."""

    async def deliver(
        self, entry: SpoolEntry, message: bytes, destination: str, recipients: Sequence[str], dot_before: float
    ) -> dict[str, Outcome]:
        now = self.clock.elapsed()
        if not entry.sender:
            self.notices.append((now, message))
            return dict.fromkeys(recipients, Outcome("relayed", "2.0.0", "250 ok"))
        self.asked.append(now)
        return dict.fromkeys(recipients, self.answer(now))


class SilentRelay(FakeRelay):
    """Gets no answer until the pod ends."""

    def __init__(self, clock: LoopClock, answer: Callable[[float], Outcome]) -> None:
        super().__init__(clock, answer)
        self.ended = asyncio.Event()

    def cut(self) -> None:
        self.ended.set()

    async def deliver(self, *_: object) -> dict[str, Outcome]:
        await self.ended.wait()
        return {}


def late(now: float) -> float:
    due = REGISTRY.get_sample_value("mailpod_spool_due_timestamp_seconds")
    return max(0.0, now - due) if due else 0.0


def send(answer: Callable[[float], Outcome], hours: float, kind: type[FakeRelay] = FakeRelay) -> FakeRelay:
    """One message at time 0, and what was done with it in so many hours, by the settings that everybody has."""

    async def story() -> FakeRelay:
        clock = LoopClock()
        directory = SimpleNamespace(domain=_nothing, resolve=_nobody)
        settings = SimpleNamespace(queue=QueueSettings(), outbound=OutboundSettings(), hostname="mail.home.test")
        services: Any = SimpleNamespace(
            settings=settings, store=SimpleNamespace(objects=MemoryObjects(clock)), directory=directory,
            budget=Budget(1 << 20), clock=clock, pod_name="pod", signer=Signer(),
        )  # fmt: skip
        spool = Spool(services, random.Random(2))
        relay: Any = kind(clock, answer)
        spool._relay = relay
        spool.start()
        entry = SpoolEntry(spool.new_id(), "a@home.test", ("b@far.test",), clock.now(), user="a@home.test")
        await spool.accept(entry, b"Subject: x\r\n\r\n")
        for _ in range(int(hours * 6)):
            await asyncio.sleep(HOUR / 6)
            relay.late.append(late(clock.now()))
        await spool.stop()
        made: FakeRelay = relay
        return made

    return run(story())


async def _nothing(_: str) -> None:
    return None


async def _nobody(_: str) -> list[object]:
    return []


def test_an_hour_of_4xx_then_it_is_taken() -> None:
    relay = send(lambda now: BUSY if now < HOUR else Outcome("relayed", "2.0.0", "250 ok"), 24)
    waits = [after - before for before, after in zip(relay.asked, relay.asked[1:], strict=False)]
    assert relay.asked[0] < 1 and HOUR <= relay.asked[-1] < 2.5 * HOUR
    for number, wait in enumerate(waits):  # 5 min, then twice as long each time, give or take a quarter
        assert 0.74 <= wait / (300 * 2**number) <= 1.3
    assert relay.notices == []


def test_days_of_4xx_are_told_after_four_hours_and_after_five_days() -> None:
    relay = send(lambda _: BUSY, 24 * 6)
    (delayed, first), (failed, last) = relay.notices
    assert 4 * HOUR < delayed < 10 * HOUR and b"Action: delayed\r\n" in first
    assert 120 * HOUR < failed < 126 * HOUR and b"Action: failed\r\n" in last and b"451 4.7.1 come back later" in last
    assert relay.asked[-1] < 120 * HOUR and 20 < len(relay.asked) < 60
    assert max(relay.late) < 0.2 * HOUR  # nobody is woken for another server's "later"


def test_an_attempt_that_does_not_end_is_late_when_its_claim_is_over() -> None:
    relay = send(lambda _: BUSY, 4, SilentRelay)
    assert max(relay.late[:4]) == 0 and relay.late[11] > HOUR < relay.late[-1]


def test_mail_for_mailboxes_here_is_due_when_it_came() -> None:
    schedule, standing = Schedule(QueueSettings(), OutboundSettings()), Standing("x", 100.0, {1: 200.0}, {1: 201.0})
    here = Known(outward=False, holder="", destinations=frozenset(), local=True)
    away = Known(outward=True, holder="", destinations=frozenset({"far.test"}), local=False)
    assert schedule.due(standing, here) == 100.0
    assert 201.0 + 400 < (schedule.due(standing, away) or 0) < 201.0 + 800
