"""What a user is told whose mailbox is nearly full. Pure."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

from mailpod.store import Limits

_WIDTH: Final = 72
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


def letter(
    address: str, limits: Limits, held: Limits, *, percent: int, domain: str, hostname: str, now: float, letter_id: str
) -> bytes:
    """The message, as it lies in the mailbox. `held` is what `limits` are the limits of, `percent` the part of it."""
    head = [
        "Return-Path: <>",
        f"Delivered-To: {address}",
        f"From: Mail server <postmaster@{domain}>",
        f"To: {address}",
        f"Subject: Your mailbox is {percent} % full",
        f"Date: {format_datetime(datetime.fromtimestamp(int(now), UTC))}",
        f"Message-ID: <{letter_id}@{hostname}>",
        "Auto-Submitted: auto-generated",  # RFC 3834 §5
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
    ]
    paragraphs = [
        f"The mailbox {address} is {percent} % full: it holds {_parts(limits, held)}.",
        "Once it is full, new mail to you is refused, and its senders are told so. Nothing that you have is lost.",
        "To make room, delete what you no longer need, beginning with the largest messages, and then empty Trash and"
        f" Junk: what lies there counts, too. Or ask postmaster@{domain} for more room.",
        "You get this message once. It comes again only if there is room again, and that is used up, too.",
    ]
    text = "\n\n".join(textwrap.fill(each, _WIDTH, break_long_words=False) for each in paragraphs)
    return ("\r\n".join(head) + "\r\n\r\n" + text.replace("\n", "\r\n") + "\r\n").encode()


def _parts(limits: Limits, held: Limits) -> str:
    parts = []
    if limits.bytes and held.bytes is not None:
        parts.append(f"{_size(held.bytes)} of {_size(limits.bytes)}")
    if limits.messages and held.messages is not None:
        parts.append(f"{held.messages} of {limits.messages} messages")
    return " and ".join(parts)


def _size(octets: int) -> str:
    """`4.1 GiB`."""
    size, unit = float(octets), 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{octets} {_UNITS[0]}"
