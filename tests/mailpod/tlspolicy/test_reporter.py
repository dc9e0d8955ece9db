"""Counts of several pods become one report a day and domain, by mail and by HTTPS."""

from __future__ import annotations

import email
import email.policy
import json
import random
from gzip import decompress

import pytest
from tests.harness.zone import Zone
from tests.mailpod.store.faults import FakeClock

from mailpod.daily import Sender
from mailpod.errors import Unavailable
from mailpod.store.daycounts import TLS_PREFIX, DayCounts
from mailpod.store.memory import MemoryObjects
from mailpod.store.objects import StorageError
from mailpod.tlspolicy.policy import Policy
from mailpod.tlspolicy.reporter import Means, Reporter
from mailpod.tlspolicy.settings import TlsPolicySettings
from mailpod.tlspolicy.tally import Tally

DAY = 86400.0
NOON = 1764072000.0  # 2025-11-25, 12:00 UTC
STS = Policy("example", "sts", True, lines=("version: STSv1",))


class World:
    """Pods over one bucket. `sent` are recipients and JSON of what was mailed."""

    def __init__(self, *records: str) -> None:
        self.clock, self.zone = FakeClock(NOON), Zone(*records)
        self.bucket = MemoryObjects(self.clock)
        self.sent: list[tuple[str, dict[str, object]]] = []

    def pod(self, seed: int = 1, **settings: object) -> Reporter:
        rng = random.Random(seed)
        return Reporter(
            Means(
                settings=TlsPolicySettings.model_validate(settings),
                tally=Tally(100),
                store=lambda: DayCounts(self.bucket, self.clock, rng, TLS_PREFIX),
                resolver=self.zone.resolver(self.clock),
                clock=self.clock,
                rng=rng,
                sender=self.sender,
                send_mail=self.mail,
            )
        )

    async def sender(self) -> Sender | None:
        return Sender("ours.example", "postmaster@ours.example")

    async def mail(self, sender: Sender, recipient: str, message: bytes) -> None:
        _, attached = email.message_from_bytes(message, policy=email.policy.default).iter_parts()
        self.sent.append((recipient, json.loads(decompress(attached.get_content()))))

    async def keys(self) -> list[str]:
        return [entry.key.rpartition("/")[2][:7] for entry in await self.bucket.list("tlsreports/")]


def count(pod: Reporter, times: int = 1) -> None:
    for _ in range(times):
        pod._means.tally.add(STS, "mx.example", None)


ASKS = '_smtp._tls.example TXT "v=TLSRPTv1; rua=mailto:reports@example"'


async def test_pods_counts_are_one_report_by_one_of_them() -> None:
    world = World(ASKS)
    one, other = world.pod(1), world.pod(2)
    count(one, 2)
    await one.flush()
    count(one)
    count(other, 4)
    await one.flush()
    await other.flush()
    assert len(await world.keys()) == 3
    world.clock.time += DAY / 2 + 6 * 3600
    await one.report_due()
    await other.report_due()
    [(recipient, told)] = world.sent
    assert recipient == "reports@example"
    assert told["policies"][0]["summary"]["total-successful-session-count"] == 7  # type: ignore[index]
    assert told["report-id"] == "2025-11-25-example@ours.example"
    assert await world.keys() == ["claim-0"]


async def test_a_day_is_not_reported_before_its_counts_are_all_there() -> None:
    world = World(ASKS)
    pod = world.pod()
    count(pod)
    await pod.flush()
    world.clock.time += DAY / 2 + 3600
    await pod.report_due()
    assert world.sent == []


async def test_who_asks_for_nothing_gets_nothing() -> None:
    world = World()
    pod = world.pod()
    count(pod)
    await pod.flush()
    world.clock.time += DAY
    await pod.report_due()
    assert world.sent == [] and await world.keys() == ["claim-0"]


async def test_a_claim_that_was_given_up_is_taken_over() -> None:
    world = World(ASKS)
    dead, alive = world.pod(1), world.pod(2)
    count(dead)
    await dead.flush()
    world.clock.time += DAY
    store = DayCounts(world.bucket, world.clock, random.Random(3), TLS_PREFIX)
    [(name, day)] = (await store.days()).items()
    assert await store.claim(name, day)
    await alive.report_due()
    assert world.sent == []
    world.clock.time += 6 * 3600 + 1
    await alive.report_due()
    assert len(world.sent) == 1


async def test_what_is_long_over_is_dropped() -> None:
    world = World(ASKS)
    pod = world.pod()
    count(pod)
    await pod.flush()
    world.clock.time += 9 * DAY
    await pod.report_due()
    assert world.sent == [] and await world.keys() == []


async def test_counts_outlast_a_bucket_that_fails() -> None:
    world = World(ASKS)
    pod = world.pod()
    count(pod)
    create = world.bucket.create

    async def fails(*_: object) -> None:
        raise StorageError("away")

    world.bucket.create = fails  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await pod.flush()
    world.bucket.create = create  # type: ignore[method-assign]
    await pod.flush()
    assert len(await world.keys()) == 1


async def test_nobody_reports_where_it_is_switched_off() -> None:
    await World().pod(report=False).run()
