"""DMARC's aggregate reports (RFC 9990): a day's mail in the name of each domain that asks, to where it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod import logs, metrics
from mailpod.authres.aggregate import Report
from mailpod.authres.counted import Published, Seen, Tally, merged
from mailpod.authres.places import Place, wanted
from mailpod.authres.settings import AuthresSettings
from mailpod.daily import Daily, Means, Sender
from mailpod.dns.answers import DnsError
from mailpod.queue.ownmail import report_means
from mailpod.store.daycounts import DMARC_PREFIX

if TYPE_CHECKING:
    from mailpod.services import Services


class DmarcReporter(Daily[Seen]):
    """One per pod. `tally` is what it counts."""

    def __init__(self, means: Means, settings: AuthresSettings) -> None:
        self.tally = Tally(settings.report_rows if settings.report else 0)
        super().__init__(means, self.tally, list[Seen], enabled=settings.report, seconds=settings.report_seconds)
        self._most_rows = settings.report_rows

    async def send_day(self, sender: Sender, day: str, rows: list[Seen]) -> None:
        domains: dict[str, dict[Published, list[Seen]]] = {}
        for seen in merged(rows):
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
            kept = sorted(sorted(rows, key=lambda row: -row.count)[: self._most_rows])
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
        return await self.mail(told.sender, place.address, message)


def make_dmarc_reporter(services: Services) -> DmarcReporter:
    """One per pod."""
    return DmarcReporter(report_means(services, DMARC_PREFIX), services.settings.authres)
