"""rspamd's opinion of a message, as SMTP has it: refused, for later, into Junk, or taken; with the fields it adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod import metrics
from mailpod.errors import MailError, Unavailable
from mailpod.rspamd.protocol import request_headers

if TYPE_CHECKING:
    from mailpod.services import Services
    from mailpod.smtp.session import MailEnvelope, MailSession


class Spam(MailError):
    """rspamd refuses it."""

    smtp = (554, "5.7.1")
    text = "The message looks like spam"


class Later(MailError):
    """rspamd greylists it, or limits its sender."""

    smtp = (451, "4.7.1")
    text = "Try again later"


async def filtered(
    services: Services, session: MailSession, envelope: MailEnvelope, content: bytes, queue_id: str
) -> tuple[bytes, bool]:
    """Fields to put before the message, and whether it is for Junk. Raises Spam, Later, Unavailable."""
    if not services.rspamd.wants(len(content)):
        return b"", False
    headers = request_headers(
        client=session.client.host,
        helo=session.host_name or "",
        sender=envelope.mail_from or "",
        recipients=envelope.rcpt_tos,
        queue_id=queue_id,
        server=services.settings.hostname,
    )
    opinion = await services.rspamd.ask(content, headers)
    metrics.FILTERED.labels(opinion.action if opinion else "failed").inc()
    if opinion is None:
        if services.settings.rspamd.on_failure == "defer":
            raise Unavailable("The spam filter does not answer, try again later")
        return b"", False
    if opinion.action == "reject":
        raise Spam(opinion.message or None)
    if opinion.action == "defer":
        raise Later(opinion.message or None)
    return opinion.fields, opinion.action == "junk"
