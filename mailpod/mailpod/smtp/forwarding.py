"""Mail that goes on to other domains: what may leave, under which reverse-path and seal; and notices that come back.

- What does not go on stays in the mailbox that forwards it, whether it keeps copies or not: spam, what fails DMARC,
  what was there before (a loop), and what would pass for the forwarder's own mail elsewhere.
- A notice of failure goes to whom SPF or DMARC show to have sent the message; nothing goes back to anybody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod import logs, metrics
from mailpod.addresses import normalize
from mailpod.authres.dmarc import may_align
from mailpod.dkim.sealing import Chain
from mailpod.errors import MailError
from mailpod.forwarding import srs
from mailpod.mime.headers import header_end, parse_fields, unfold
from mailpod.smtp.senders import author_domains
from mailpod.smtp.session import Recipient
from mailpod.store.outbound import Forwarded

if TYPE_CHECKING:
    from mailpod.addresses import Address
    from mailpod.authres.check import Verdict
    from mailpod.directory import MailboxEntry
    from mailpod.services import Services
    from mailpod.smtp.session import MailEnvelope


class NoReturn(MailError):
    """An address that we never made, or made long ago, or that nothing goes back to."""

    smtp = (550, "5.1.1")
    text = "Nothing is returned to this address (any more)"


class OnlyNotices(MailError):
    """Someone writes to a sender whose address we rewrote."""

    smtp = (550, "5.7.1")
    text = "Only notices about forwarded mail are returned to this address"


def returned_to(services: Services, envelope: MailEnvelope, address: Address) -> str | None:
    """Where what is for an address of a domain of ours goes back to; None where it is no rewritten sender.

    `address` is as the client wrote it. Raises NoReturn, OnlyNotices.
    """
    keys = services.signer.keys.secrets(address.domain)
    if not keys or not srs.is_rewritten(address.local):
        return None
    days = services.settings.smtp.return_days
    try:
        sender = srs.original(address.local, keys, services.clock.now(), days)
        if envelope.mail_from:
            metrics.RETURNED.labels("no_notice").inc()
            raise OnlyNotices
        normalize(sender)
    except srs.NoReturn as why:
        metrics.RETURNED.labels(why.kind).inc()
        raise NoReturn from None
    except ValueError:  # of a first forwarder, whose rest is not ours
        metrics.RETURNED.labels("forged").inc()
        raise NoReturn from None
    metrics.RETURNED.labels("accepted").inc()
    return sender


async def settle(
    services: Services,
    envelope: MailEnvelope,
    message: bytes,
    verdict: Verdict | None,
    *,
    role: str,
    queue_id: str,
) -> bytes:
    """Decide for each recipient who is forwarded to; the fields that are put before `message`, an ARC set if any.

    `verdict` is of the checks that were made; `role` is the handler's. Raises NoReturn, Unavailable.
    """
    if envelope.junk and any(recipient.returning for recipient in envelope.recipients.values()):
        raise NoReturn
    waiting = [(address, found.via, found) for address, found in envelope.recipients.items() if found.via is not None]
    left: list[MailboxEntry] = []
    for address, via, recipient in waiting:
        reason = await _reason_to_keep(services, envelope, via, message, verdict, role)
        metrics.FORWARDED.labels(reason or "sent").inc()
        if reason is None:
            sender = _reverse_path(services, envelope, via, role)
            recipient.forwarded = Forwarded(sender, via.address)
            left.append(via)
            continue
        logs.event("smtp.not_forwarded", id=queue_id, user=via.address, reason=reason)
        del envelope.recipients[address]
        envelope.recipients.setdefault(via.address, Recipient(via, recipient.named, recipient.options))
    if not left or verdict is None or verdict.arc.next is None:
        return b""
    chain = Chain(verdict.arc.next, verdict.arc.result, verdict.arc.sealed, verdict.field)
    now = services.clock.now()
    return await services.signer.seal(message, chain, domain=left[0].domain, seconds=now, queue_id=queue_id)


async def _reason_to_keep(
    services: Services,
    envelope: MailEnvelope,
    via: MailboxEntry,
    message: bytes,
    verdict: Verdict | None,
    role: str,
) -> str | None:
    if envelope.junk or (verdict is not None and verdict.wanted != "none"):
        return "junk"
    if via.address in _delivered_to(message):
        return "loop"
    if role == "submission":
        return None
    if not services.signer.keys.secrets(via.domain):
        return "no_key"
    for author in _unproven(services, message, verdict, role):
        # SPF will pass for the domain in the reverse-path that we give it: it must not speak for whoever forged From
        if not author or await may_align(services.resolver, author, via.domain):
            return "forged"
    return None


def _unproven(services: Services, message: bytes, verdict: Verdict | None, role: str) -> list[str]:
    """The domains in From for which nothing spoke; "" where nobody can tell them.

    None where the client is one that is not checked, and one that hands over by LMTP: it is believed.
    """
    if verdict is not None:
        return [dmarc.domain for dmarc in verdict.dmarc if dmarc.result != "pass"]
    if role != "mx" or services.settings.authres.enabled:
        return []
    found = author_domains(message)
    return [""] if found is None else found


def _reverse_path(services: Services, envelope: MailEnvelope, via: MailboxEntry, role: str) -> str:
    sender = envelope.mail_from or ""
    if role == "submission" or not sender:  # ours as it is; and a notice stays one (RFC 5321 §4.5.5)
        return sender
    key = services.signer.keys.secrets(via.domain)[0]
    return srs.rewritten(sender if envelope.verified else "", via.domain, key, services.clock.now())


def _delivered_to(message: bytes) -> set[str]:
    header = message[: header_end(message, 0, len(message))]
    values = parse_fields(header).get(b"delivered-to", [])
    return {unfold(value).decode("utf-8", "replace").lower() for value in values}
