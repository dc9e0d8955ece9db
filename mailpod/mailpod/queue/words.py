"""The part of a notice that a person reads: which recipient, what is so, what the other server said, what to do. Pure.

Lines are of at most 72 characters but for what has no spaces. Nothing of another server's words can look like ours:
they are quoted, and control characters are gone.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

from mailpod.mime.headers import header_end, parse_fields, unfold
from mailpod.mime.words import decode_header
from mailpod.queue.causes import EXPIRED, cause_of, is_reply
from mailpod.queue.report import RecipientReport, Report
from mailpod.xtext import xtext_decoded

_WIDTH: Final = 72
_QUOTED: Final = 1000  # characters of what a server said
_DAY: Final = 86_400
_MESSAGE_ID: Final = re.compile(rb"<[!-;=?-~]{1,250}>")


def subject_of(message: bytes) -> str:
    """The original's subject as text; "" where it has none."""
    return plain(decode_header(_field(message, b"subject")))


def message_id_of(message: bytes) -> str:
    """The original's Message-ID with its brackets; "" where it has none that can be written again."""
    found = unfold(_field(message, b"message-id"))
    return found.decode() if _MESSAGE_ID.fullmatch(found) else ""


def _field(message: bytes, name: bytes) -> bytes:
    return parse_fields(message[: header_end(message, 0, len(message))]).get(name, [b""])[0]


def plain(text: str) -> str:
    """Text of another's on one line, without control characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def text_of(report: Report, *, hostname: str, now: float, whole: bool) -> str:
    """The text, lines ended by LF. `whole`: the message follows, not its header alone."""
    blocks = [_paragraph(_opening(report)), _message(report)]
    blocks += [_recipient(report, about, now) for about in report.recipients]
    blocks.append(_paragraph(_closing(hostname, whole=whole)))
    return "\n\n".join(blocks) + "\n"


def date(seconds: float) -> str:
    """RFC 5322 §3.3, in UTC."""
    return format_datetime(datetime.fromtimestamp(int(seconds), UTC))


def _moment(seconds: float) -> str:
    """For a person."""
    return date(seconds).rpartition(":")[0] + " UTC"


def _opening(report: Report) -> str:
    several = len(report.recipients) > 1
    match report.kind:
        case "failed":
            whom = "these recipients" if several else "this recipient"
            return f"Your message did not reach {whom}, and is not tried again."
        case "delayed":
            until = "" if report.retry_until is None else f" until {_moment(report.retry_until)}"
            whom = "these recipients" if several else "this recipient"
            return f"Your message did not reach {whom} yet. It is tried again{until}; you need not do anything."
        case "delivered":
            return "You asked to be told when your message arrives."


def _message(report: Report) -> str:
    lines = [f"    Subject: {subject_of(report.message) or '(none)'}"]
    if report.entry.created:
        lines.append(f"    Sent:    {_moment(report.entry.created)}")
    return "\n".join(lines)


def _recipient(report: Report, about: RecipientReport, now: float) -> str:
    address, outcome = named(about), about.outcome
    if report.kind == "delivered":
        return f"{address}\n" + _paragraph(_arrived(about), "    ")
    cause = cause_of(outcome)
    names = {"address": address, "domain": address.rpartition("@")[2], "own": report.entry.sender.rpartition("@")[2]}
    what, advice = cause.what.format(**names), cause.advice.format(**names)
    if outcome.status == EXPIRED and report.kind == "failed":
        what = f"It was tried for {_duration(now - report.entry.created)}, always in vain. {what}"
    parts = [f"{address}\n" + _paragraph(what, "    ")]
    if outcome.text and plain(outcome.text).rstrip(".").lower() not in what.lower():
        parts.append(_said(about))
    if report.kind == "failed":
        parts.append(_paragraph(f"What you can do: {advice}", "    "))
    return "\n\n".join(parts)


def named(about: RecipientReport) -> str:
    """The recipient as the sender wrote them, where that is known (RFC 3461 §4.2), else the address in our books."""
    kind, _, written = about.orcpt.partition(";")
    address = xtext_decoded(written) if kind.lower() == "rfc822" else None
    return plain(address or about.recipient)


def _arrived(about: RecipientReport) -> str:
    if about.outcome.action == "relayed":
        host = about.outcome.host or "another server"
        return f"It was handed to {host}, which does not tell whether it arrives: you will hear no more of it."
    return "It is in the mailbox."


def _said(about: RecipientReport) -> str:
    outcome = about.outcome
    said = plain(outcome.text)
    said = said if len(said) <= _QUOTED else said[:_QUOTED] + " …"
    if not is_reply(outcome):
        server = f" ({outcome.host})" if outcome.host else ""
        return _paragraph(f"In detail: {said.rstrip('.')}{server}.", "    ")
    quoted = textwrap.wrap(said, _WIDTH - 6, break_long_words=False, break_on_hyphens=False)
    return f"    The server {outcome.host} said:\n" + "\n".join(f"    > {line}" for line in quoted)


def _closing(hostname: str, *, whole: bool) -> str:
    follows = "your message" if whole else "your message's header"
    return (
        f"Below is what programs need to know of this, and {follows}. This notice is from the mail server {hostname}."
    )


def _duration(seconds: float) -> str:
    for unit, length in (("day", _DAY), ("hour", 3600), ("minute", 60)):
        count = round(seconds / length)
        if seconds >= length:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "a moment"


def _paragraph(text: str, indent: str = "") -> str:
    lines: Iterable[str] = textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines)
