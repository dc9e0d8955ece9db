"""Message-IDs of Message-ID, References and In-Reply-To, as THREAD=REFERENCES takes them (RFC 5256 §3)."""

from __future__ import annotations

import re
from typing import Final

# RFC 5322 §3.6.4 msg-id, its left side possibly quoted; no class meets its neighbour, so nothing backtracks
_QUOTED: Final = rb'"[^"\\<>]*(?:\\[^<>][^"\\<>]*)*"'
_ID: Final = re.compile(rb'<[ \t]*((?:%b|[^\s<>@"])+@[^\s<>@]+)[ \t]*>' % _QUOTED)
_ESCAPE: Final = re.compile(rb'\\(.)|"', re.DOTALL)


def message_ids(value: bytes) -> list[bytes]:
    """The valid ids of a raw value, unfolded, in order; quoting is undone: <"01KF8JCEOCBS0045PS"@x> is the same
    id as <01KF8JCEOCBS0045PS@x> (RFC 5256 §3)."""
    found: list[bytes] = _ID.findall(value)
    return [_ESCAPE.sub(rb"\1", each) for each in found] if b'"' in value else found
