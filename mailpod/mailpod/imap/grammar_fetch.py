"""FETCH items: RFC 3501 §6.4.5 and §9 fetch-att; modifiers: RFC 7162 §3.1.4 and §3.2.6."""

from __future__ import annotations

import re
from typing import Final

from mailpod.imap import wire
from mailpod.imap.grammar_partial import partial
from mailpod.imap.lexer import BadCommand, Cursor, Frame
from mailpod.imap.syntax import FetchArgs, FetchAttr, FetchBinary, FetchBody, FetchItem

_NAME: Final = re.compile(rb"[A-Za-z0-9.]+")
_PATH: Final = re.compile(rb"[1-9][0-9]{0,9}(?:\.[1-9][0-9]{0,9})*")
_WHAT: Final = re.compile(rb"HEADER\.FIELDS\.NOT|HEADER\.FIELDS|HEADER|TEXT|MIME", re.IGNORECASE)
_PARTIAL: Final = re.compile(rb"<([0-9]{1,19})(?:\.([1-9][0-9]{0,18}))?>")  # RFC 9051 §9 number64 "." nz-number64
_TO_THE_END: Final = 2**63 - 1
_LAZY: Final = re.compile(rb" \(LAZY(?: LAZY)*\)", re.IGNORECASE)  # RFC 8970 §6
_FAST: Final = ("FLAGS", "INTERNALDATE", "RFC822.SIZE")
_MACROS: Final = {"ALL": (*_FAST, "ENVELOPE"), "FAST": _FAST, "FULL": (*_FAST, "ENVELOPE", "BODY")}
_ATTRIBUTES: Final = {
    name: FetchAttr(name)
    for name in (
        *("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODYSTRUCTURE", "BODY", "UID"),
        *(
            "PREVIEW",
            "PREVIEW (LAZY)",
            "MODSEQ",
            "SAVEDATE",
            "EMAILID",
            "THREADID",
            "RFC822",
            "RFC822.HEADER",
            "RFC822.TEXT",
        ),
    )
}
_MAX_ITEMS: Final = 500
_MAX_DEPTH: Final = 100  # as deep as the MIME scanner goes
_MAX_FIELDS: Final = 200


def fetch(cursor: Cursor, uid: bool = False) -> FetchArgs:
    cursor.space()
    numbers = cursor.sequence_set()
    cursor.space()
    items = fetch_items(cursor)
    changed_since, vanished, places = _modifiers(cursor) if cursor.take(b" ") else (None, False, None)
    if changed_since is not None:
        items.append(_ATTRIBUTES["MODSEQ"])  # RFC 7162 §3.1.4.1: CHANGEDSINCE asks for MODSEQ too
    return FetchArgs(numbers, tuple(dict.fromkeys(items)), uid, changed_since, vanished, places)


def fetch_items(cursor: Cursor) -> list[FetchItem]:
    """One item or macro, or `(item item …)`."""
    if not cursor.take(b"("):
        return list(_item(cursor, macros=True))
    items = list(_item(cursor))
    while not cursor.take(b")"):
        cursor.space()
        items.extend(_item(cursor))
        if len(items) > _MAX_ITEMS:
            raise BadCommand(f"More than {_MAX_ITEMS} items")
    return items


def _modifiers(cursor: Cursor) -> tuple[int | None, bool, tuple[int, int] | None]:
    changed_since = places = None
    vanished, given = False, set[str]()
    cursor.need(b"(")
    while True:
        modifier = cursor.word()
        if modifier in given:
            raise BadCommand(f"{modifier} may be given once")
        given.add(modifier)
        if modifier == "CHANGEDSINCE":
            cursor.space()
            changed_since = cursor.large_number()
        elif modifier == "VANISHED":
            vanished = True
        elif modifier == "PARTIAL":
            cursor.space()
            places = partial(cursor)
        else:
            raise BadCommand(f"Unknown FETCH modifier {modifier}")
        if cursor.take(b")"):
            break
        cursor.space()
    if vanished and changed_since is None:
        raise BadCommand("VANISHED needs CHANGEDSINCE")  # RFC 7162 §3.2.6
    return changed_since, vanished, places


def _item(cursor: Cursor, macros: bool = False) -> tuple[FetchItem, ...]:
    name = cursor.expect(_NAME, "an item to fetch").decode("ascii").upper()
    if name in ("BODY", "BODY.PEEK") and cursor.take(b"["):
        return (_body(cursor, peek=name == "BODY.PEEK"),)
    if name in ("BINARY", "BINARY.PEEK", "BINARY.SIZE") and cursor.take(b"["):
        return (_binary(cursor, name),)
    if name == "PREVIEW" and cursor.match(_LAZY):
        return (_ATTRIBUTES["PREVIEW (LAZY)"],)
    # RFC 3501 §6.4.5: a macro stands alone, not in a list
    if macros and name in _MACROS:
        return tuple(_ATTRIBUTES[attribute] for attribute in _MACROS[name])
    if name not in _ATTRIBUTES:
        raise BadCommand(f"Unknown FETCH item {name}")
    return (_ATTRIBUTES[name],)


def _binary(cursor: Cursor, name: str) -> FetchBinary:
    """RFC 3516 §7 knows parts only; HEADER, TEXT and MIME, which have no encoding, are what Dovecot takes too."""
    path, what, fields, section = _section(cursor)
    size = name == "BINARY.SIZE"
    partial = None if size else _partial(cursor)
    suffix = b"" if partial is None else b"<%d>" % partial[0]
    label = b"BINARY%b[%b]%b" % (b".SIZE" if size else b"", section, suffix)
    return FetchBinary(path, size, size or name == "BINARY.PEEK", partial, label, what, fields)


def section_text(text: bytes) -> FetchBody:
    """What stands between the brackets of BODY[], as URLs have it. Raises BadCommand."""
    cursor = Cursor(Frame([text + b"]"]))
    body = _body(cursor, peek=True)
    cursor.end()
    return body


def _body(cursor: Cursor, peek: bool) -> FetchBody:
    path, what, fields, section = _section(cursor)
    partial = _partial(cursor)
    suffix = b"" if partial is None else b"<%d>" % partial[0]
    return FetchBody(path, what, fields, peek, partial, b"BODY[%b]%b" % (section, suffix))


def _section(cursor: Cursor) -> tuple[tuple[int, ...], str, tuple[bytes, ...], bytes]:
    """Part number, what of it, names of fields, and all of them as they are written; the `]` is taken too."""
    path, section = _path(cursor)
    what = ""
    fields: tuple[bytes, ...] = ()
    if not path or cursor.take(b"."):
        found = cursor.match(_WHAT)
        what = found[0].decode("ascii").upper() if found else ""
        if path and not what:
            raise cursor.error("expected HEADER, TEXT or MIME")
        if what == "MIME" and not path:
            raise cursor.error("MIME needs a part number")  # RFC 3501 §6.4.5
        section += (b"." if path else b"") + what.encode()
    if what.startswith("HEADER.FIELDS"):
        cursor.space()
        fields = _header_list(cursor)
        section += b" " + wire.parenthesized(map(wire.astring, fields))
    cursor.need(b"]")
    return path, what, fields, section


def _path(cursor: Cursor) -> tuple[tuple[int, ...], bytes]:
    found = cursor.match(_PATH)
    if found is None:
        return (), b""
    path = tuple(map(int, found[0].split(b".")))
    if len(path) > _MAX_DEPTH:
        raise BadCommand(f"Part number is deeper than {_MAX_DEPTH}")
    return path, found[0]


def _header_list(cursor: Cursor) -> tuple[bytes, ...]:
    cursor.need(b"(")
    fields = [cursor.astring()]
    while not cursor.take(b")"):
        cursor.space()
        fields.append(cursor.astring())
        if len(fields) > _MAX_FIELDS:
            raise BadCommand(f"More than {_MAX_FIELDS} header fields")
    return tuple(fields)


def _partial(cursor: Cursor) -> tuple[int, int] | None:
    if cursor.peek() != b"<":
        return None
    found = cursor.match(_PARTIAL)
    if found is None:
        raise cursor.error("expected <first.count>")
    return int(found[1]), int(found[2] or _TO_THE_END)  # `<n>` is the octets from n on, as Dovecot has it
