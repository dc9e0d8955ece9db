"""GETMETADATA and SETMETADATA (RFC 5464 §5), and what LIST's METADATA has of them (RFC 9590)."""

from __future__ import annotations

import re
from typing import Final

from mailpod.errors import MailError
from mailpod.imap.lexer import BadCommand, Cursor
from mailpod.imap.syntax_metadata import Entries, GetMetadataArgs, SetMetadataArgs

_DEPTHS: Final = {"0": 0, "1": 1, "INFINITY": None}
_MAX_ENTRIES: Final = 100
_OPTIONS: Final = re.compile(rb"\( *(?:MAXSIZE|DEPTH) ", re.IGNORECASE)
# RFC 5464 §3.2: ASCII without controls, `*` and `%`, of two components or more, none of them empty
_NAME: Final = re.compile(rb"/(?:private|shared)(?:/[\x1a-\x24\x26-\x29\x2b-\x2e\x30-\x7e]+)+", re.IGNORECASE)
_SCOPE: Final = re.compile(rb"/(?:private|shared)", re.IGNORECASE)
_TOO_SHORT: Final = re.compile(rb"/(?:private|shared)/vendor(?:/[^/]+)?", re.IGNORECASE)  # RFC 5464 §3.2: four or more


class TooLong(MailError):
    """RFC 5464 §4.3: a value is longer than `most` octets."""

    text = "The value is too long"

    def __init__(self, most: int) -> None:
        super().__init__()
        self.imap = ("NO", f"METADATA MAXSIZE {most}")


def get_metadata(cursor: Cursor) -> GetMetadataArgs:
    """The options stand before the mailbox, and behind it in §4.2's examples (erratum 2785): clients do either.
    §4.4.1's examples leave out the parentheses around entries (erratum 3868): they are read either way."""
    cursor.space()
    depth, most = _options(cursor)
    name = cursor.mailbox()
    cursor.space()
    if (depth, most) == (0, None):
        depth, most = _options(cursor)
    return GetMetadataArgs(name, Entries(_names(cursor, bare=True), depth, most))


def list_entries(cursor: Cursor) -> Entries:
    """Behind METADATA among LIST's return options."""
    depth, most = _options(cursor)
    return Entries(_names(cursor), depth, most)


def set_metadata(cursor: Cursor) -> SetMetadataArgs:
    cursor.space()
    name = cursor.mailbox()
    cursor.space()
    cursor.need(b"(")
    entries = [_entry_value(cursor)]
    while not cursor.take(b")"):
        cursor.space()
        entries.append(_entry_value(cursor))
        _check_count(len(entries))
    return SetMetadataArgs(name, tuple(entries))


def _entry_value(cursor: Cursor) -> tuple[str, bytes | None]:
    name = _name(cursor)
    cursor.space()
    if cursor.take(b"~"):  # literal8
        return name, cursor.string()
    return name, cursor.nstring()


def _options(cursor: Cursor) -> tuple[int | None, int | None]:
    """`(MAXSIZE n DEPTH infinity) `, the space after it included, where it is there."""
    depth: int | None = 0
    most: int | None = None
    if _OPTIONS.match(cursor.line, cursor.at) is None:
        return depth, most
    cursor.need(b"(")
    first = True
    while not cursor.take(b")"):
        if not first:
            cursor.space()
        first = False
        option = cursor.word()
        cursor.space()
        if option == "MAXSIZE":
            most = cursor.number()
        elif option == "DEPTH" and (word := cursor.word()) in _DEPTHS:
            depth = _DEPTHS[word]
        else:
            raise BadCommand(f"Unknown GETMETADATA option {option}, or a value that it has not")
    cursor.space()
    return depth, most


def _names(cursor: Cursor, bare: bool = False) -> tuple[str, ...]:
    """`bare`: several may come without parentheses."""
    inner = cursor.take(b"(")
    names = [_name(cursor, scope=True)]
    while not cursor.take(b")") if inner else bare and cursor.take(b" "):
        if inner:
            cursor.space()
        names.append(_name(cursor, scope=True))
        _check_count(len(names))
    return tuple(dict.fromkeys(names))


def _name(cursor: Cursor, scope: bool = False) -> str:
    """`scope`: /private, /shared, and a vendor's names, may be looked below."""
    name = cursor.astring()
    if _NAME.fullmatch(name) is None and not (scope and _SCOPE.fullmatch(name)):
        raise BadCommand("Not the name of an annotation: it begins with /private/ or /shared/")
    if not scope and _TOO_SHORT.fullmatch(name):
        raise BadCommand("A vendor's annotations have names below /vendor/<vendor>/")
    return name.decode("ascii").lower()


def _check_count(count: int) -> None:
    if count > _MAX_ENTRIES:
        raise BadCommand(f"More than {_MAX_ENTRIES} entries")
