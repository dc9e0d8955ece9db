"""Header fields that a server adds, and what it looks for in the ones that are there: no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Final

_TOKEN: Final = re.compile(r"[^A-Za-z0-9.:_\[\]-]")
_DATE: Final = re.compile(rb"(?:^|\r\n)date[ \t]*:")
_MESSAGE_ID: Final = re.compile(rb"(?:^|\r\n)message-id[ \t]*:")
_RECEIVED: Final = re.compile(rb"(?:^|\r\n)received[ \t]*:")


@dataclass(frozen=True, slots=True)
class Hop:
    """What a Received field says (RFC 5321 §4.4). `recipient` only where the message has a single one."""

    client_name: str  # from EHLO, as the client spelled it
    client_host: str  # its address
    server_name: str
    queue_id: str
    seconds: float  # since the epoch
    recipient: str | None = None
    extended: bool = True
    utf8: bool = False
    lmtp: bool = False
    tls: tuple[str, str] | None = None  # version and cipher
    authenticated: bool = False


def received(hop: Hop) -> bytes:
    """The Received field."""
    secured = f" ({hop.tls[0]} {hop.tls[1]})" if hop.tls else ""
    recipient = f" for <{hop.recipient}>" if hop.recipient else ""
    text = (
        f"Received: from {_safe(hop.client_name)} ({_literal(hop.client_host)})\r\n"
        f"\tby {hop.server_name} with {_protocol(hop)}{secured}\r\n"
        f"\tid {hop.queue_id}{recipient};\r\n"
        f"\t{date(hop.seconds)}\r\n"
    )
    return text.encode()


def hops(content: bytes) -> int:
    """How many Received fields the header has (RFC 5321 §6.3)."""
    return len(_RECEIVED.findall(_header(content)))


def missing_fields(content: bytes, *, seconds: float, queue_id: str, domain: str) -> bytes:
    """Date and Message-ID, those that a submitted message lacks (RFC 6409 §8.2 and §8.3)."""
    header = _header(content)
    added = b""
    if not _DATE.search(header):
        added += f"Date: {date(seconds)}\r\n".encode()
    if not _MESSAGE_ID.search(header):
        added += f"Message-ID: <{queue_id}@{domain}>\r\n".encode()
    return added


def date(seconds: float) -> str:
    """RFC 5322 §3.3, in UTC."""
    return _date(int(seconds))


@lru_cache(maxsize=4)
def _date(seconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC))


def _protocol(hop: Hop) -> str:
    # RFC 3848, and RFC 6531 §4.3 for UTF8SMTP
    if not hop.extended:
        return "SMTP"
    plain, international = ("LMTP", "UTF8LMTP") if hop.lmtp else ("ESMTP", "UTF8SMTP")
    return (international if hop.utf8 else plain) + ("S" if hop.tls else "") + ("A" if hop.authenticated else "")


def _safe(name: str) -> str:
    return _TOKEN.sub("?", name)[:255] or "?"


def _literal(host: str) -> str:
    return f"[IPv6:{host}]" if ":" in host else f"[{host}]"  # RFC 5321 §4.1.3


def _header(content: bytes) -> bytes:
    """The header in lower case, without its last CRLF."""
    if content.startswith(b"\r\n"):
        return b""
    end = content.find(b"\r\n\r\n")
    return (content if end < 0 else content[:end]).lower()
