"""Notices to senders, as entries of the queue: durable before what they are about is settled, and once.

- A notice's id is made of its entry's and of the attempt that it is about: whoever makes it again, after a crash, finds
  it there. `noticed-<n>` spares that, and is written after it.
- A notice has the null reverse-path and is never itself reported. It is signed as what users submit is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from mailpod import logs, metrics
from mailpod.addresses import normalize_domain
from mailpod.errors import MailError
from mailpod.queue import report
from mailpod.queue.notices import compose
from mailpod.store.outbound import RecipientOptions, SpoolEntry, notice_id
from mailpod.store.outcome import Outcome

if TYPE_CHECKING:
    from mailpod.queue.spool import Spool
    from mailpod.services import Services

_NO_REPORT: Final = RecipientOptions(notify=("NEVER",))  # RFC 3461 §6.1


class Reporting:
    """Raises Unavailable, as all that writes to the bucket: the caller comes again."""

    def __init__(self, services: Services, spool: Spool) -> None:
        self._services, self._spool = services, spool

    def needed(self, entry: SpoolEntry, outcomes: Mapping[str, Outcome]) -> bool:
        """Whether final outcomes are to be told to somebody."""
        return any(
            outcome.final and report.wanted(entry, recipient, outcome) for recipient, outcome in outcomes.items()
        )

    async def final(self, entry: SpoolEntry, message: bytes, number: int, outcomes: Mapping[str, Outcome]) -> None:
        """Tell what attempt `number` ended for good."""
        for found in report.reports(entry, message, dict(outcomes)):
            await self._send(found, f"{number} {found.kind}")
        await self._spool.outbound.mark(entry.id, "noticed", number)

    async def waiting(
        self, entry: SpoolEntry, message: bytes, outcomes: Mapping[str, Outcome], retry_until: float
    ) -> None:
        """Tell, once, that some recipients still wait."""
        found = report.delay(entry, message, dict(outcomes), retry_until)
        if found is not None:
            await self._send(found, found.kind)
        await self._spool.outbound.mark(entry.id, "delayed")

    async def _send(self, found: report.Report, about: str) -> None:
        entry = found.entry
        recipients = {one.recipient: one.outcome.status for one in found.recipients}
        if not report.may_be_told(entry):
            logs.event("notice.withheld", level="warning", id=entry.id, kind=found.kind, recipients=recipients)
            metrics.NOTICES.labels(found.kind, "withheld").inc()
            return
        made, now = notice_id(entry.id, about), self._services.clock.now()
        settings, domain = self._services.settings, await self._domain(entry)
        message = compose(
            found,
            hostname=settings.hostname,
            domain=domain,
            to=entry.sender,
            notice_id=made,
            now=now,
            whole_up_to=settings.queue.notice_whole_bytes,
        )
        to = await self._recipients(entry.sender)
        options = dict.fromkeys(to, _NO_REPORT)
        notice = SpoolEntry(
            made,
            "",
            to,
            now,
            options=options,
            smtputf8=not message.isascii(),
            requiretls=entry.requiretls,  # RFC 8689 §5: what it says of the message is as secret as that
        )
        signed = await self._services.signer.sign(message, domain=domain, owner=domain, seconds=now, queue_id=made)
        if await self._spool.accept_once(notice, signed + message):
            logs.event("notice.sent", id=made, about=entry.id, kind=found.kind, recipients=recipients)
            metrics.NOTICES.labels(found.kind, "sent").inc()

    async def _domain(self, entry: SpoolEntry) -> str:
        """Whose postmaster tells: the sender's domain where it is ours, else a recipient's or a forwarder's."""
        for address in (entry.sender, *entry.recipients, *(forward.via for forward in entry.forwards.values())):
            found = await self._services.directory.domain(address.rpartition("@")[2])
            if found is not None:
                return found.name
        return self._services.settings.hostname

    async def _recipients(self, sender: str) -> tuple[str, ...]:
        """The mailboxes behind a sender of ours; another's address, whose domain alone is ours to rewrite."""
        try:
            found = await self._services.directory.resolve(sender)
        except MailError:
            found = []  # the hand-out looks again
        if found:
            return tuple(dict.fromkeys(entry.address for entry in found))
        local, _, domain = sender.rpartition("@")
        try:
            return (f"{local}@{normalize_domain(domain)}",)
        except ValueError:  # format 1 queued anything
            return (sender,)
