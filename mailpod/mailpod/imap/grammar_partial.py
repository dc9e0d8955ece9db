"""PARTIAL's places, of SEARCH and of FETCH (RFC 9394 §4)."""

from __future__ import annotations

import re
from typing import Final

from mailpod.imap.lexer import Cursor

_PARTIAL: Final = re.compile(rb"(-?[1-9][0-9]{0,9}):(-?[1-9][0-9]{0,9})(?![0-9])")


def partial(cursor: Cursor) -> tuple[int, int]:
    """`n:m`, both of one sign; the nearer end comes first, and RFC 9394 §4 has 500:400 mean 400:500 (imaptest's
    search-partial wants it answered so)."""
    found = cursor.match(_PARTIAL)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if first * last <= 0 or max(abs(first), abs(last)) > 2**32 - 1:
        raise cursor.error("expected a range like 1:100 or -1:-100")
    return (first, last) if abs(first) <= abs(last) else (last, first)
