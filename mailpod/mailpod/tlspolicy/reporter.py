"""Counts into the bucket every hour, and a day's reports out of it, once, by whichever pod comes first.

- A day is reported some hours after its end: the hour that pods write late, and then a time that differs from pod to
  pod (RFC 8460 §5.5 asks for a delay at random).
- A report is a courtesy: what cannot be sent is given up with a log line, and never holds up mail.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import msgspec

from mailpod import logs, metrics
from mailpod.clock import Clock
from mailpod.dns.answers import DnsError
from mailpod.dns.resolver import Resolver
from mailpod.errors import MailError
from mailpod.store.tlsreports import Day, TlsReports
from mailpod.tlspolicy import report
from mailpod.tlspolicy.report import Report, Sender
from mailpod.tlspolicy.roots import Roots
from mailpod.tlspolicy.settings import TlsPolicySettings
from mailpod.tlspolicy.tally import Seen, Tally, merged

_EARLIEST, _LATEST = 2 * 3600.0, 6 * 3600.0  # after a day's end
_KEPT: Final = timedelta(days=7)  # then a day is dropped, reported or not

SendMail = Callable[[Sender, str, bytes], Awaitable[None]]
"""From whom, to which address, the message. Raises MailError."""
FindSender = Callable[[], Awaitable[Sender | None]]


@dataclass(frozen=True, slots=True)
class Means:
    """What a reporter works with."""

    settings: TlsPolicySettings
    tally: Tally
    store: Callable[[], TlsReports]
    resolver: Resolver
    clock: Clock
    rng: random.Random
    sender: FindSender
    send_mail: SendMail


class Reporter:
    """One per pod."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._delay = means.rng.uniform(_EARLIEST, _LATEST)
        self._roots = Roots(means.settings.ca_file)

    async def run(self) -> None:
        """For ever, where reports are wanted."""
        while self._means.settings.report:
            await self._means.clock.sleep(self._means.settings.report_seconds * self._means.rng.uniform(0.75, 1.25))
            try:
                await self.flush()
                await self.report_due()
            except MailError as error:
                logs.event("tlsreport.postponed", level="warning", reason=error.text)

    async def flush(self) -> None:
        """Write what was counted since the last time. Raises Unavailable, and keeps it then."""
        means = self._means
        taken = means.tally.take()
        if taken:
            try:
                await means.store().add(self._today().isoformat(), msgspec.json.encode(taken))
            except MailError:
                means.tally.give_back(taken)
                raise

    async def report_due(self) -> None:
        """Report the days that are over and that nobody reports. Raises Unavailable."""
        store, now = self._means.store(), self._means.clock.now()
        for name, day in (await store.days()).items():
            began = _began(name)
            if began is None or now - began < 86400 + self._delay:
                continue
            if date.fromisoformat(name) + _KEPT < self._today():
                await store.forget(day)
            elif day.counts and await store.claim(name, day):
                await self._report(store, name, day)

    async def _report(self, store: TlsReports, name: str, day: Day) -> None:
        sender = await self._means.sender()
        if sender is not None:
            domains: dict[str, list[Seen]] = {}
            for data in await store.counts(day):
                for seen in _decoded(data):
                    domains.setdefault(seen.domain, []).append(seen)
            for domain, found in domains.items():
                await self._send(Report(sender, domain, name, merged(found)))
        await store.reported(day)

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
        begin = int(_began(told.day) or 0)
        try:
            await means.send_mail(told.sender, recipient, told.mail(recipient, begin, means.clock.now()))
        except MailError as error:
            return error.text
        return ""

    def _today(self) -> date:
        return datetime.fromtimestamp(self._means.clock.now(), UTC).date()


def _began(day: str) -> float | None:
    """The first second of a day, Unix time; None for what is no day."""
    try:
        return datetime.combine(date.fromisoformat(day), time(), UTC).timestamp()
    except ValueError:
        return None


def _decoded(data: bytes) -> list[Seen]:
    try:
        return msgspec.json.decode(data, type=list[Seen])
    except ValueError:  # of another version
        return []
