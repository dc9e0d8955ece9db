"""RETURN (…) of SEARCH and its kin: RFC 4731 §5, RFC 5182 §3, RFC 9394 §4."""

from __future__ import annotations

import re
from typing import Final

from mailpod.imap.lexer import BadCommand, Cursor
from mailpod.imap.syntax_search import Return

_OPTIONS: Final = frozenset(("MIN", "MAX", "ALL", "COUNT", "SAVE"))
_PARTIAL: Final = re.compile(rb"(-?[1-9][0-9]{0,9}):(-?[1-9][0-9]{0,9})(?![0-9])")


def returns(cursor: Cursor) -> Return | None:
    """`RETURN (…) `, the space after it included; None where there is none."""
    if cursor.line[cursor.at : cursor.at + 8].upper() != b"RETURN (":
        return None
    cursor.at += 8
    options: set[str] = set()
    places = None
    while not cursor.take(b")"):
        if options or places:
            cursor.space()
        option = cursor.word()
        if option == "PARTIAL":
            cursor.space()
            places = partial(cursor)
        elif option in _OPTIONS:
            options.add(option)
        else:
            raise BadCommand(f"Unknown RETURN option {option}")
    if places and "ALL" in options:
        raise BadCommand("ALL and PARTIAL exclude each other")  # RFC 9394 §3.1
    cursor.space()
    # RFC 4731 §3.1: an empty list asks for ALL
    return Return(frozenset(options) if options or places else frozenset(("ALL",)), places)


def partial(cursor: Cursor) -> tuple[int, int]:
    """`n:m`, both of one sign."""
    found = cursor.match(_PARTIAL)
    first, last = (int(found[1]), int(found[2])) if found else (0, 0)
    if first * last <= 0 or max(abs(first), abs(last)) > 2**32 - 1:
        raise cursor.error("expected a range like 1:100 or -1:-100")
    return first, last
