"""RETURN (…) of SEARCH and its kin: RFC 4731 §4, RFC 5182 §3, RFC 5267 §5, RFC 5465 §8, RFC 6203 §7, RFC 9394 §4."""

from __future__ import annotations

import re
from typing import Final

from mailpod.imap.grammar_fetch import fetch_items
from mailpod.imap.grammar_partial import partial
from mailpod.imap.lexer import BadCommand, Cursor
from mailpod.imap.syntax import FetchItem
from mailpod.imap.syntax_search import Return

_OPTIONS: Final = frozenset(("MIN", "MAX", "ALL", "COUNT", "SAVE", "RELEVANCY"))
_CONTEXTS: Final = frozenset(("CONTEXT", "UPDATE"))
_ITEMS: Final = re.compile(rb" *(?=\()")


def returns(cursor: Cursor) -> Return | None:
    """`RETURN (…) `, the space after it included; None where there is none."""
    if cursor.line[cursor.at : cursor.at + 8].upper() != b"RETURN (":
        return None
    cursor.at += 8
    named: set[str] = set()
    places = None
    items: tuple[FetchItem, ...] = ()
    while not cursor.take(b")"):
        if named:
            cursor.space()
        option = cursor.word()
        if option in named:
            raise BadCommand(f"{option} may be asked for once")  # RFC 9394 §3.1, RFC 5267 §4.4
        if option == "PARTIAL":
            cursor.space()
            places = partial(cursor)
        elif option == "UPDATE" and cursor.match(_ITEMS):
            items = tuple(dict.fromkeys(fetch_items(cursor)))  # RFC 5465 §7
        elif option not in _OPTIONS | _CONTEXTS:
            raise BadCommand(f"Unknown RETURN option {option}")
        named.add(option)
    if places and "ALL" in named:
        raise BadCommand("ALL and PARTIAL exclude each other")  # RFC 9394 §3.1
    cursor.space()
    # RFC 4731 §3.1: an empty list asks for ALL. RFC 5267 §4.2: CONTEXT is a hint
    return Return(frozenset(named & _OPTIONS) if named else frozenset(("ALL",)), places, "UPDATE" in named, items)
