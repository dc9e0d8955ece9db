"""A notice as a message: multipart/report (RFC 6522) with a delivery status (RFC 3464) and the original's header."""

from __future__ import annotations

from email.utils import formatdate
from typing import Final

from mailpod.queue.report import RecipientReport, Report

_SUBJECTS: Final = {
    "failed": "Your message could not be delivered",
    "delayed": "Your message is delayed",
    "delivered": "Your message was delivered",
}
_TEXTS: Final = {
    "failed": "Your message could not be delivered to these recipients, and is not tried again:",
    "delayed": "Your message could not be delivered yet to these recipients. It is tried again; you need do nothing:",
    "delivered": "Your message was delivered to these recipients, or handed to a server that does not confirm:",
}


def compose(report: Report, *, hostname: str, to: str, notice_id: str, now: float) -> bytes:
    """The notice's bytes. `to` is the reverse-path of the message that it is about."""
    boundary = f"=_{notice_id}"
    head = [
        f"From: Mail Delivery System <MAILER-DAEMON@{hostname}>",
        f"To: <{to}>",
        f"Subject: {_SUBJECTS[report.kind]}",
        f"Date: {formatdate(now)}",
        f"Message-ID: <{notice_id}@{hostname}>",
        "Auto-Submitted: auto-replied",  # RFC 3834 §5
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"',
        "",
    ]
    text = [_TEXTS[report.kind], ""]
    text += [
        f"    {about.recipient}\n        {about.outcome.text or about.outcome.status}" for about in report.recipients
    ]
    status = [f"Reporting-MTA: dns; {hostname}", f"Arrival-Date: {formatdate(report.entry.created)}"]
    if report.entry.envid:
        status.insert(0, f"Original-Envelope-Id: {report.entry.envid}")
    for about in report.recipients:
        status += ["", *_fields(report, about)]
    original = report.message.partition(b"\r\n\r\n")[0] + b"\r\n"
    utf8 = "" if original.isascii() else "; charset=utf-8"
    parts = [
        ("text/plain; charset=utf-8", "\r\n".join(text).replace("\r\n", "\n").replace("\n", "\r\n").encode()),
        ("message/delivery-status", "\r\n".join(status).encode()),
        (f"text/rfc822-headers{utf8}", original),
    ]
    body = b"".join(
        b"--%b\r\nContent-Type: %b\r\n\r\n%b\r\n" % (boundary.encode(), kind.encode(), part) for kind, part in parts
    )
    return "\r\n".join(head).encode() + b"\r\n" + body + b"--%b--\r\n" % boundary.encode()


def _fields(report: Report, about: RecipientReport) -> list[str]:
    """RFC 3464 §2.3."""
    outcome = about.outcome
    fields = [f"Original-Recipient: {about.orcpt}"] if about.orcpt else []
    action = outcome.action if report.kind != "delivered" or outcome.action == "relayed" else "delivered"
    fields += [
        f"Final-Recipient: rfc822; {about.recipient}",
        f"Action: {action}",
        f"Status: {outcome.status or '5.0.0'}",
    ]
    if outcome.host:
        fields.append(f"Remote-MTA: dns; {outcome.host}")
    if outcome.said:
        fields.append(f"Diagnostic-Code: smtp; {outcome.text}")
    if outcome.at:
        fields.append(f"Last-Attempt-Date: {formatdate(outcome.at)}")
    if report.retry_until is not None:
        fields.append(f"Will-Retry-Until: {formatdate(report.retry_until)}")
    return fields
