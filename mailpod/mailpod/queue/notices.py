"""A notice as a message: multipart/report (RFC 6522), of which people read the text and programs the rest. Pure.

It has the text (words.py), a delivery status (RFC 3464, RFC 6533), and the original's header, or all of it if asked.

- No line of another's makes a field or a boundary of ours: what others said is on one line, the boundary is the id.
- It is from the postmaster of a domain of ours, which is always somebody's mailbox.
"""

from __future__ import annotations

import textwrap
from email.header import Header
from typing import Final

from mailpod.mime.headers import header_end
from mailpod.queue import words
from mailpod.queue.causes import is_reply
from mailpod.queue.report import RecipientReport, Report
from mailpod.xtext import xtext_decoded

_SUBJECTS: Final = {"failed": "Not delivered", "delayed": "Delayed", "delivered": "Delivered"}
_LONGEST_SUBJECT: Final = 200  # characters of the original's
_DIAGNOSTIC: Final = 1000  # characters of what a server said


def compose(
    report: Report, *, hostname: str, domain: str, to: str, notice_id: str, now: float, whole_up_to: int = 0
) -> bytes:
    """The notice's bytes. `to` is the reverse-path of the message that it is about, `domain` the one it is from.

    Where the sender asked for the whole message (RET=FULL), a failure has one of at most `whole_up_to` octets.
    """
    boundary = f"=_{notice_id}"
    utf8 = not all(about.recipient.isascii() and about.orcpt.isascii() for about in report.recipients)
    kind = "global-delivery-status" if utf8 else "delivery-status"  # RFC 6533 §3
    # RFC 3461 §4.3: RET is about failures; others have the header alone
    whole = report.kind == "failed" and report.entry.ret == "FULL" and len(report.message) <= whole_up_to
    parts = [
        _part("text/plain; charset=utf-8", words.text_of(report, hostname=hostname, now=now, whole=whole).encode()),
        _part(f"message/{kind}", "\n".join(_status(report, hostname, utf8=utf8)).encode() + b"\n"),
        _part("message/rfc822", report.message) if whole else _header(report.message),
    ]
    header = [
        f"From: Mail Delivery System <postmaster@{domain}>",
        f"To: <{to}>",
        f"Subject: {_subject(report)}",
        f"Date: {words.date(now)}",
        f"Message-ID: <{notice_id}@{hostname}>",
        *_references(report),
        "Auto-Submitted: auto-replied",  # RFC 3834 §5
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type={kind};\r\n\tboundary="{boundary}"',
    ]
    mark = b"--" + boundary.encode()
    body = b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts)
    return "\r\n".join(header).encode() + b"\r\n\r\n" + body + mark + b"--\r\n"


def _part(kind: str, text: bytes) -> bytes:
    """A part of which lines end by LF or CRLF."""
    text = text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    encoding = b"" if text.isascii() else b"Content-Transfer-Encoding: 8bit\r\n"
    return b"Content-Type: %b\r\n%b\r\n%b" % (kind.encode(), encoding, text)


def _header(message: bytes) -> bytes:
    header = message[: header_end(message, 0, len(message))]
    if header.isascii():
        return _part("text/rfc822-headers", header)
    return _part("message/global-headers", header.decode("utf-8", "replace").encode())  # RFC 6533 §5


def _subject(report: Report) -> str:
    what, about = _SUBJECTS[report.kind], words.subject_of(report.message)[:_LONGEST_SUBJECT]
    text = f"{what}: {about}" if about else f"{what}: your message"
    return Header(text, None if text.isascii() else "utf-8", header_name="Subject").encode(linesep="\r\n")


def _references(report: Report) -> list[str]:
    """So that a mail program shows the notice with the message (RFC 5322 §3.6.4)."""
    found = words.message_id_of(report.message)
    return [f"In-Reply-To: {found}", f"References: {found}"] if found else []


def _status(report: Report, hostname: str, *, utf8: bool) -> list[str]:
    """RFC 3464 §2.2, then §2.3 for each recipient."""
    lines = []
    if report.entry.envid:
        lines.append(f"Original-Envelope-Id: {xtext_decoded(report.entry.envid) or report.entry.envid}")
    lines += [f"Reporting-MTA: dns; {hostname}", f"Arrival-Date: {words.date(report.entry.created)}"]
    for about in report.recipients:
        lines += ["", *_recipient(report, about, utf8=utf8)]
    return lines


def _recipient(report: Report, about: RecipientReport, *, utf8: bool) -> list[str]:
    outcome = about.outcome
    lines = []
    if about.orcpt:
        kind, _, written = about.orcpt.partition(";")
        lines.append(f"Original-Recipient: {kind}; {xtext_decoded(written) or written}")
    kind = "rfc822" if about.recipient.isascii() else "utf-8"
    status = outcome.status or {"failed": "5.0.0", "delayed": "4.0.0", "delivered": "2.0.0"}[report.kind]
    lines += [f"Final-Recipient: {kind}; {about.recipient}", f"Action: {outcome.action}", f"Status: {status}"]
    if outcome.host and is_reply(outcome):
        lines.append(f"Remote-MTA: dns; {outcome.host}")
    if outcome.text:
        said = words.plain(outcome.text)[:_DIAGNOSTIC]
        said = said if utf8 else said.encode("ascii", "replace").decode()
        folded = textwrap.wrap(said, 72, break_long_words=False, break_on_hyphens=False)
        lines.append(f"Diagnostic-Code: {'smtp' if is_reply(outcome) else 'x-mailpod'}; " + "\n ".join(folded))
    if outcome.at:
        lines.append(f"Last-Attempt-Date: {words.date(outcome.at)}")
    if report.retry_until is not None:
        lines.append(f"Will-Retry-Until: {words.date(report.retry_until)}")
    return lines
