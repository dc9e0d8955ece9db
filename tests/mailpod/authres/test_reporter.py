"""Counts of several pods become one DMARC report a day and policy, to those who agreed."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import msgspec
from tests.mailpod.authres.feedback import valid
from tests.mailpod.authres.test_aggregate import ROW
from tests.mailpod.reportworld import DAY, ReportWorld

from mailpod.authres.reporter import DmarcReporter
from mailpod.authres.settings import AuthresSettings
from mailpod.daily import Sender
from mailpod.errors import OverQuota
from mailpod.store.daycounts import DMARC_PREFIX

ASKS = '_dmarc.a.example TXT "v=DMARC1; p=reject; rua=mailto:r@a.example"'


class World(ReportWorld[Element]):
    """Of DMARC's reports. Where it is `full`, mail cannot be queued."""

    prefix = DMARC_PREFIX
    full = False

    def pod(self, seed: int = 1, **settings: object) -> DmarcReporter:
        return DmarcReporter(self.means(seed), AuthresSettings.model_validate(settings))

    def read(self, packed: bytes) -> Element:
        return valid(packed)

    async def mail(self, sender: Sender, recipient: str, message: bytes) -> None:
        if self.full:
            raise OverQuota
        await super().mail(sender, recipient, message)

    async def next_day(self, *pods: DmarcReporter) -> None:
        for pod in pods:
            await pod.flush()
        self.clock.time += DAY / 2 + 6 * 3600
        for pod in pods:
            await pod.report_due()


def counts(report: Element) -> list[int]:
    return [int(element.text or "") for element in report.iter("count")]


async def test_pods_counts_are_one_report_by_one_of_them() -> None:
    world = World(ASKS)
    one, other = world.pod(1), world.pod(2)
    one.tally.add(ROW)
    other.tally.add(ROW)
    other.tally.add(msgspec.structs.replace(ROW, client="192.0.2.9", count=1))
    await world.next_day(one, other)
    [(recipient, report)] = world.sent
    assert recipient == "r@a.example" and counts(report) == [6, 1]


async def test_a_report_is_of_one_policy() -> None:
    """RFC 9990 §3.1: where the record changed in the day, there are two."""
    world = World(ASKS)
    pod = world.pod()
    pod.tally.add(ROW)
    pod.tally.add(msgspec.structs.replace(ROW, policy=msgspec.structs.replace(ROW.policy, policy="none"), count=2))
    await world.next_day(pod)
    assert sorted((report.findtext("policy_published/p") or "", *counts(report)) for _, report in world.sent) == [
        ("none", 2),
        ("reject", 3),
    ]
    assert len({report.findtext("report_metadata/report_id") for _, report in world.sent}) == 2


async def test_a_place_that_takes_less_gets_nothing() -> None:
    world = World('_dmarc.a.example TXT "v=DMARC1; rua=mailto:r@a.example!1k, mailto:s@a.example!1m"')
    pod = world.pod()
    pod.tally.add(ROW)
    await world.next_day(pod)
    assert [recipient for recipient, _ in world.sent] == ["s@a.example"]


async def test_what_cannot_be_sent_is_given_up() -> None:
    world = World(ASKS)
    pod = world.pod()
    pod.tally.add(ROW)
    world.full = True
    await world.next_day(pod)
    world.full = False
    await pod.report_due()
    assert world.sent == []


async def test_a_report_has_a_longest() -> None:
    world = World(ASKS)
    pod = world.pod(report_rows=2)
    for count in (5, 7):
        pod.tally.add(msgspec.structs.replace(ROW, client=f"192.0.2.{count}", count=count))
    await pod.flush()
    pod.tally.add(msgspec.structs.replace(ROW, client="192.0.2.1", count=6))
    await world.next_day(pod)
    [(_, report)] = world.sent
    assert sorted(counts(report)) == [6, 7]


async def test_switched_off_nothing_is_counted() -> None:
    pod = World(ASKS).pod(report=False)
    pod.tally.add(ROW)
    assert pod.tally.take() == []
    await pod.run()
