"""Counts of several pods become one report a day and domain, by mail and by HTTPS."""

from __future__ import annotations

import json
import random

import pytest
from tests.mailpod.reportworld import DAY, ReportWorld

from mailpod.errors import Unavailable
from mailpod.store.daycounts import TLS_PREFIX, DayCounts
from mailpod.store.objects import StorageError
from mailpod.tlspolicy.policy import Policy
from mailpod.tlspolicy.reporter import Reporter
from mailpod.tlspolicy.settings import TlsPolicySettings
from mailpod.tlspolicy.tally import Tally

STS = Policy("example", "sts", True, lines=("version: STSv1",))


class World(ReportWorld[dict[str, object]]):
    """Of TLS reports."""

    prefix = TLS_PREFIX

    def pod(self, seed: int = 1, **settings: object) -> Reporter:
        return Reporter(self.means(seed), TlsPolicySettings.model_validate(settings), Tally(100))

    def read(self, packed: bytes) -> dict[str, object]:
        return json.loads(packed)  # type: ignore[no-any-return]

    async def keys(self) -> list[str]:
        return [entry.key.rpartition("/")[2][:7] for entry in await self.bucket.list("tlsreports/")]


def count(pod: Reporter, times: int = 1) -> None:
    for _ in range(times):
        pod.tally.add(STS, "mx.example", None)


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
