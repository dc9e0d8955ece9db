"""Who sent what comes in by the MX port, and what follows from it for the message.

A message for several domains is refused, or goes to Junk, only where all of them want senders' policies enforced; and
only an ARC sealer that all of them trust is believed.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailpod import logs, metrics
from mailpod.addresses import normalize_domain
from mailpod.authres.check import Arrival, Verdict, check, is_checked
from mailpod.authres.counted import seen
from mailpod.authres.dmarc import Disposition
from mailpod.authres.results import without_forged
from mailpod.errors import MailError
from mailpod.mime.headers import field_name, header_end, split_lines
from mailpod.mime.mailboxes import addresses_in

if TYPE_CHECKING:
    from mailpod.services import Services
    from mailpod.smtp.session import MailEnvelope, MailSession


class Forged(MailError):
    """DMARC failed, and the author's domain wants that refused."""

    smtp = (550, "5.7.1")

    def __init__(self, domain: str) -> None:
        super().__init__(f"The message is not authenticated as from {domain}, whose DMARC policy refuses such")


@dataclass(frozen=True, slots=True)
class Checked:
    """What is stored: the field that goes first, the content, and whether it is for Junk.

    `verified`: the reverse-path is not forged, and may be sent a notice.
    """

    field: bytes
    content: bytes
    junk: bool
    verified: bool = False
    verdict: Verdict | None = None


async def checked_sender(services: Services, session: MailSession, envelope: MailEnvelope, content: bytes) -> Checked:
    """Raises Forged."""
    settings = services.settings
    clean = without_forged(content, settings.hostname)
    if not is_checked(session.client.host, settings.authres):
        return Checked(b"", clean, junk=False)
    arrival = Arrival(
        client=session.client.host,
        helo=session.host_name or "",
        sender=envelope.mail_from or "",
        content=content,
        authors=author_domains(content),
        trusted=envelope.trusted or (),
    )
    verdict = await check(
        arrival, services.resolver, settings.authres, server=settings.hostname, now=services.clock.now()
    )
    metrics.AUTHENTICATED.labels("spf", verdict.spf.result).inc()
    for signature in verdict.signatures:
        metrics.AUTHENTICATED.labels("dkim", signature.result).inc()
    for dmarc in verdict.dmarc:
        metrics.AUTHENTICATED.labels("dmarc", dmarc.result).inc()
    if verdict.arc.result != "none":
        metrics.AUTHENTICATED.labels("arc", verdict.arc.result).inc()
    applied: Disposition = verdict.wanted if envelope.enforced else "none"
    if settings.authres.report:
        one = seen(verdict, client=arrival.client, sender=arrival.sender, applied=applied)
        if one is not None:
            services.dmarc_reports.tally.add(one)
    if applied == "reject":
        refused = next(dmarc.domain for dmarc in verdict.dmarc if dmarc.wanted == "reject")
        logs.event("smtp.unauthenticated", peer=session.client.host, author=refused)
        raise Forged(refused)
    return Checked(
        verdict.field,
        clean,
        junk=applied == "quarantine",
        verified=is_verified(arrival.sender, verdict),
        verdict=verdict,
    )


def is_verified(sender: str, verdict: Verdict) -> bool:
    """Whether the domain of the reverse-path says that the message is its own: by SPF, or as the author's by DMARC."""
    try:
        domain = normalize_domain(sender.rpartition("@")[2])
    except ValueError:
        return False
    if verdict.spf.result == "pass":  # which is of the reverse-path, where there is one
        return True
    return any(dmarc.result == "pass" and dmarc.domain == domain for dmarc in verdict.dmarc)


def author_domains(content: bytes) -> list[str] | None:
    """The domains in From, each once; None where From is there several times, or cannot be read."""
    header = content[: header_end(content, 0, len(content))]
    values = [line.partition(b":")[2] for line in split_lines(header) if field_name(line) == b"from"]
    if len(values) > 1:
        return None
    found: list[str] = []
    with contextlib.suppress(ValueError):
        for value in values:
            found += [normalize_domain(address.rpartition("@")[2]) for address in addresses_in(value)]
        return list(dict.fromkeys(found))
    return None
