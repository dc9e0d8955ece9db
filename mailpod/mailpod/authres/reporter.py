"""DMARC's aggregate reports (RFC 9990): a day's mail in the name of each domain that asks, to where it says."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from mailpod import logs, metrics
from mailpod.authres.aggregate import Report
from mailpod.authres.counted import Published, Seen, Tally, merged
from mailpod.authres.places import Place, wanted
from mailpod.authres.settings import AuthresSettings
from mailpod.clock import Clock
from mailpod.daily import Daily, FindSender, Schedule, Sender, SendMail
from mailpod.dns.answers import DnsError
from mailpod.dns.resolver import Resolver
from mailpod.errors import MailError
from mailpod.queue.ownmail import OwnMail
from mailpod.store.daycounts import DMARC_PREFIX, DayCounts

if TYPE_CHECKING:
    from mailpod.services import Services


@dataclass(frozen=True, slots=True)
class Means:
    """What a reporter works with."""

    settings: AuthresSettings
    store: Callable[[], DayCounts]
    resolver: Resolver
    clock: Clock
    rng: random.Random
    sender: FindSender
    send_mail: SendMail


class DmarcReporter(Daily):
    """One per pod. `tally` is what it counts."""

    def __init__(self, means: Means) -> None:
        settings = means.settings
        super().__init__(Schedule(settings.report, settings.report_seconds, means.store, means.clock, means.rng))
        self._means = means
        self.tally = Tally(settings.report_rows if settings.report else 0)

    def take(self) -> list[Seen]:
        return self.tally.take()

    def give_back(self, counted: list[Seen]) -> None:
        self.tally.give_back(counted)

    async def send_day(self, day: str, counts: list[bytes]) -> None:
        sender = await self._means.sender()
        if sender is None:
            return
        domains: dict[str, dict[Published, list[Seen]]] = {}
        for seen in merged(one for data in counts for one in _decoded(data)):
            domains.setdefault(seen.policy.domain, {}).setdefault(seen.policy, []).append(seen)
        for domain, policies in domains.items():
            await self._send_domain(sender, day, domain, list(policies.values()))

    async def _send_domain(self, sender: Sender, day: str, domain: str, policies: list[list[Seen]]) -> None:
        try:
            found = await wanted(self._means.resolver, domain)
        except DnsError:  # it asks no more; or cannot be asked
            return
        # RFC 9990 §3.1: a report is of one policy; most rows are of few messages, and those go first where it is long
        for number, rows in enumerate(policies):
            kept = sorted(sorted(rows, key=lambda row: -row.count)[: self._means.settings.report_rows])
            told = Report(sender, day, kept, number)
            for place in found:
                failed = await self._deliver(told, place)
                metrics.DMARC_REPORTS.labels("failed" if failed else "sent").inc()
                level = "warning" if failed else "info"
                logs.event("dmarcreport.sent", level=level, domain=domain, day=day, place=place.address, failed=failed)

    async def _deliver(self, told: Report, place: Place) -> str:
        """ "" or why not."""
        message = told.mail(place.address, self._means.clock.now())
        if place.most is not None and len(message) > place.most:  # RFC 9990 §3.5
            return "it is larger than that place takes"
        try:
            await self._means.send_mail(told.sender, place.address, message)
        except MailError as error:
            return error.text
        return ""


def make_dmarc_reporter(services: Services) -> DmarcReporter:
    """One per pod."""
    rng = random.Random()  # noqa: S311  names are to be unique, not secret
    own = OwnMail(services)
    return DmarcReporter(
        Means(
            settings=services.settings.authres,
            store=lambda: DayCounts(services.store.objects, services.clock, rng, DMARC_PREFIX),
            resolver=services.resolver,
            clock=services.clock,
            rng=rng,
            sender=own.sender,
            send_mail=own.send,
        )
    )


def _decoded(data: bytes) -> list[Seen]:
    try:
        return msgspec.json.decode(data, type=list[Seen])
    except ValueError:  # of another version
        return []
