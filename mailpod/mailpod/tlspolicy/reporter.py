"""TLS reports (RFC 8460): a day's sessions to each domain, to the places that it names, by mail or HTTPS."""

from __future__ import annotations

from mailpod import logs, metrics
from mailpod.daily import Daily, Means, Sender, began
from mailpod.dns.answers import DnsError
from mailpod.tlspolicy import report
from mailpod.tlspolicy.report import Report
from mailpod.tlspolicy.roots import Roots
from mailpod.tlspolicy.settings import TlsPolicySettings
from mailpod.tlspolicy.tally import Seen, Tally, merged


class Reporter(Daily[Seen]):
    """One per pod. `tally` is what it counts."""

    def __init__(self, means: Means, settings: TlsPolicySettings, tally: Tally) -> None:
        super().__init__(means, tally, list[Seen], enabled=settings.report, seconds=settings.report_seconds)
        self.tally = tally
        self._fetch_seconds = settings.fetch_seconds
        self._roots = Roots(settings.ca_file)

    async def send_day(self, sender: Sender, day: str, rows: list[Seen]) -> None:
        domains: dict[str, list[Seen]] = {}
        for seen in rows:
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
        recipient = report.mailbox(place)
        if recipient is None:
            from mailpod.tlspolicy.posting import post  # aiohttp, as late as in policies.py

            packed, resolver = told.packed(), self._means.resolver
            return await post(place, packed, resolver=resolver, roots=self._roots, seconds=self._fetch_seconds)
        begin = int(began(told.day) or 0)
        return await self.mail(told.sender, recipient, told.mail(recipient, begin, self._means.clock.now()))
