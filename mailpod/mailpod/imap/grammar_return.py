"""RETURN (…) of SEARCH and its kin: RFC 4731 §5, RFC 5182 §3, RFC 5267 §5, RFC 9394 §4."""

from __future__ import annotations

import re
from typing import Final

from mailpod.imap.lexer import BadCommand, Cursor
from mailpod.imap.syntax_search import Return

_OPTIONS: Final = frozenset(("MIN", "MAX", "ALL", "COUNT", "SAVE"))
_CONTEXTS: Final = frozenset(("CONTEXT", "UPDATE"))
_PARTIAL: Final = re.compile(rb"(-?[1-9][0-9]{0,9}):(-?[1-9][0-9]{0,9})(?![0-9])")


def returns(cursor: Cursor) -> Return | None:
    """`RETURN (…) `, the space after it included; None where there is none."""
    if cursor.line[cursor.at : cursor.at + 8].upper() != b"RETURN (":
        return None
    cursor.at += 8
    named: set[str] = set()
    places = None
    while not cursor.take(b")"):
        if named:
            cursor.space()
        option = cursor.word()
        if option == "PARTIAL":
            if places:
                raise BadCommand("PARTIAL may be asked for once")  # RFC 5267 §4.4
            cursor.space()
            places = partial(cursor)
        elif option not in _OPTIONS | _CONTEXTS:
            raise BadCommand(f"Unknown RETURN option {option}")
        named.add(option)
    if places and "ALL" in named:
        raise BadCommand("ALL and PARTIAL exclude each other")  # RFC 9394 §3.1
    cursor.space()
    # RFC 4731 §3.1: an empty list asks for ALL. RFC 5267 §4.2: CONTEXT is a hint
    return Return(frozenset(named & _OPTIONS) if named else frozenset(("ALL",)), places, "UPDATE" in named)


def partial(cursor: Cursor) -> tuple[int, int]:
    """`n:m`, both of one sign; the nearer end comes first, and RFC 9394 §4 has 500:400 mean 400:500."""
    found = cursor.match(_PARTIAL)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if first * last <= 0 or max(abs(first), abs(last)) > 2**32 - 1:
        raise cursor.error("expected a range like 1:100 or -1:-100")
    return (first, last) if abs(first) <= abs(last) else (last, first)
