"""TLS reports (RFC 8460): a day's sessions to each domain, to the places that it names, by mail or HTTPS."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

import msgspec

from mailpod import logs, metrics
from mailpod.clock import Clock
from mailpod.daily import Daily, FindSender, Schedule, SendMail, began
from mailpod.dns.answers import DnsError
from mailpod.dns.resolver import Resolver
from mailpod.errors import MailError
from mailpod.store.daycounts import DayCounts
from mailpod.tlspolicy import report
from mailpod.tlspolicy.report import Report
from mailpod.tlspolicy.roots import Roots
from mailpod.tlspolicy.settings import TlsPolicySettings
from mailpod.tlspolicy.tally import Seen, Tally, merged


@dataclass(frozen=True, slots=True)
class Means:
    """What a reporter works with."""

    settings: TlsPolicySettings
    tally: Tally
    store: Callable[[], DayCounts]
    resolver: Resolver
    clock: Clock
    rng: random.Random
    sender: FindSender
    send_mail: SendMail


class Reporter(Daily):
    """One per pod."""

    def __init__(self, means: Means) -> None:
        settings = means.settings
        super().__init__(Schedule(settings.report, settings.report_seconds, means.store, means.clock, means.rng))
        self._means = means
        self._roots = Roots(settings.ca_file)

    def take(self) -> list[Seen]:
        return self._means.tally.take()

    def give_back(self, counted: list[Seen]) -> None:
        self._means.tally.give_back(counted)

    async def send_day(self, day: str, counts: list[bytes]) -> None:
        sender = await self._means.sender()
        if sender is not None:
            domains: dict[str, list[Seen]] = {}
            for seen in chain.from_iterable(map(_decoded, counts)):
                domains.setdefault(seen.domain, []).append(seen)
            for domain, found in domains.items():
                await self._send(Report(sender, domain, day, merged(found)))

    async def _send(self, told: Report) -> None:
        try:
            answer = await self._means.resolver.txt(f"_smtp._tls.{told.domain}")
        except DnsError:  # nobody asks for it; or nobody can be asked
            return
        for place in report.parse_record(answer.records):
            failed = await self._deliver(told, place)
            metrics.TLS_REPORTS.labels("failed" if failed else "sent").inc()
            level = "warning" if failed else "info"
            logs.event("tlsreport.sent", level=level, domain=told.domain, day=told.day, place=place, failed=failed)

    async def _deliver(self, told: Report, place: str) -> str:
        """ "" or why not."""
        means, recipient = self._means, report.mailbox(place)
        if recipient is None:
            from mailpod.tlspolicy.posting import post  # aiohttp, as late as in policies.py

            seconds = means.settings.fetch_seconds
            return await post(place, told.packed(), resolver=means.resolver, roots=self._roots, seconds=seconds)
        begin = int(began(told.day) or 0)
        try:
            await means.send_mail(told.sender, recipient, told.mail(recipient, begin, means.clock.now()))
        except MailError as error:
            return error.text
        return ""


def _decoded(data: bytes) -> list[Seen]:
    try:
        return msgspec.json.decode(data, type=list[Seen])
    except ValueError:  # of another version
        return []
