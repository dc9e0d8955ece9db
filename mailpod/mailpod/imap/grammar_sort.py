"""SORT and THREAD: RFC 5256 §5, RFC 5957 §5, RFC 6203 §7; SORT RETURN: RFC 5267 §3."""

from __future__ import annotations

from typing import Final

from mailpod.imap.grammar_return import returns
from mailpod.imap.grammar_search import program
from mailpod.imap.lexer import BadCommand, Cursor
from mailpod.imap.syntax_search import Algorithm, SortArgs, SortKey, ThreadArgs

_KEYS: Final = frozenset(
    ("ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO", "RELEVANCY")
)
_ALGORITHMS: Final[dict[str, Algorithm]] = {
    "ORDEREDSUBJECT": "ORDEREDSUBJECT",
    "REFERENCES": "REFERENCES",
    "REFS": "REFS",
}
_MAX_KEYS: Final = 20


def sort(cursor: Cursor, uid: bool = False) -> SortArgs:
    cursor.space()
    wanted = returns(cursor)
    cursor.need(b"(")
    criteria = [_key(cursor)]
    while not cursor.take(b")"):
        cursor.space()
        criteria.append(_key(cursor))
        if len(criteria) > _MAX_KEYS:
            raise BadCommand(f"More than {_MAX_KEYS} sort keys")
    charset = _charset(cursor)
    search = program(cursor, charset, uid, wanted or returns(cursor))  # imaptest has it there
    if not search.fuzzy and any(key.name == "RELEVANCY" for key in criteria):
        raise BadCommand("RELEVANCY is of FUZZY keys")  # RFC 6203 §6
    return SortArgs(tuple(criteria), search)


def _key(cursor: Cursor) -> SortKey:
    name = cursor.word()
    reverse = name == "REVERSE"
    if reverse:
        cursor.space()
        name = cursor.word()
    if name not in _KEYS:
        raise BadCommand(f"Unknown sort key {name}")
    return SortKey(name, reverse)


def thread(cursor: Cursor, uid: bool = False) -> ThreadArgs:
    cursor.space()
    name = cursor.word()
    algorithm = _ALGORITHMS.get(name)
    if algorithm is None:
        raise BadCommand(f"Unknown threading algorithm {name}")
    return ThreadArgs(algorithm, program(cursor, _charset(cursor), uid))


def _charset(cursor: Cursor) -> bytes:
    """RFC 5256 §5 search-criteria: it is not optional here. With the space before it, and behind."""
    cursor.space()
    charset = cursor.astring()
    cursor.space()
    return charset
