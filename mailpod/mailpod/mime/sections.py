"""BODY[section] as byte ranges of the stored message (RFC 3501 §6.4.5), and pieces of headers and structures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

from mailpod.mime.headers import clean, field_name, split_lines
from mailpod.mime.structure import LEAF, MESSAGE, MULTIPART

What: TypeAlias = Literal["", "HEADER", "TEXT", "MIME"]
_ROW = 5


class _Row(NamedTuple):
    """One part of Scan.parts, and its place there."""

    at: int
    depth: int
    kind: int
    header_start: int
    body_start: int
    body_end: int


def locate(
    parts: Sequence[int], size: int, header_size: int, path: tuple[int, ...], what: What
) -> tuple[int, int] | None:
    """Byte range, end exclusive, of BODY[path.what]; None where there is no such section (sent as NIL).

    `parts` and `header_size` are the Scan's, `size` the message's octets. HEADER.FIELDS is cut from HEADER's range by
    `header_fields`.
    """
    rows = parts or (0, LEAF, 0, header_size, size)
    if not path:
        return {"": (0, size), "HEADER": (0, header_size), "TEXT": (header_size, size)}.get(what)
    part = _descend(rows, path)
    if part is None:
        return None
    if what == "MIME":
        # RFC 3501 §6.4.5: a message that is no multipart has a part 1, whose MIME header is the message's own
        return part.header_start, part.body_start
    if what == "":
        return part.body_start, part.body_end
    # HEADER and TEXT of a part are those of the message in it
    inner = _row(rows, part.at + _ROW) if part.kind == MESSAGE else None
    if inner is None:
        return None
    return (inner.header_start, inner.body_start) if what == "HEADER" else (inner.body_start, part.body_end)


def _row(rows: Sequence[int], at: int) -> _Row:
    return _Row(at, *rows[at : at + _ROW])


def _descend(rows: Sequence[int], path: tuple[int, ...]) -> _Row | None:
    """The part at `path`: numbers count the children of a multipart, or of the multipart in a message."""
    part = _row(rows, 0)
    enclosed = True  # `part` is a whole message, of which a number names a part
    for number in path:
        if part.kind == MESSAGE and not enclosed:
            part, enclosed = _row(rows, part.at + _ROW), True
        if part.kind == MULTIPART:
            child = _child(rows, part, number)
            if child is None:
                return None
            part, enclosed = child, False
        elif enclosed and number == 1:
            enclosed = False  # RFC 3501 §6.4.5: every message has at least one part number
        else:
            return None
    return part


def _child(rows: Sequence[int], parent: _Row, number: int) -> _Row | None:
    at, seen = parent.at + _ROW, 0
    while at < len(rows) and rows[at] > parent.depth:
        if rows[at] == parent.depth + 1:
            seen += 1
            if seen == number:
                return _row(rows, at)
        at += _ROW
    if not seen and number == 1:
        # BODYSTRUCTURE gives an empty multipart one empty text part
        return _Row(at, parent.depth + 1, LEAF, parent.body_end, parent.body_end, parent.body_end)
    return None


def header_fields(raw_header: bytes, names: frozenset[bytes], invert: bool) -> bytes:
    """The fields named (or with `invert`, all others) of a header, with the blank line that ends it always there.

    `names` in lower case; the order and the folds are the header's own. `raw_header` may be Scan.fields, which has no
    blank line. RFC 3501 §6.4.5: "the delimiting blank line … is always included".
    """
    raw = clean(raw_header)
    if not invert:
        # FETCH asks this of a mailbox at a time: one search, not a loop over the lines
        found = b"".join(_named(names).findall(b"\n" + raw)) if names else b""
        return b"%b%b\r\n" % (found[1:], b"" if not found else b"\n" if found.endswith(b"\r") else b"\r\n")
    kept = [line for line in split_lines(raw) if field_name(line) not in names]
    return b"".join([line + (b"\n" if line.endswith(b"\r") else b"\r\n") for line in kept]) + b"\r\n"


@lru_cache(maxsize=64)
def _named(names: frozenset[bytes]) -> re.Pattern[bytes]:
    """Finds the fields of these names with their folds, each from the LF before it to before its own."""
    choice = b"|".join(map(re.escape, sorted(names)))
    return re.compile(rb"\n(?i:%b)[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*" % choice)


_PIECE = re.compile(rb'\(|\)| |"[^"\\]*(?:\\.[^"\\]*)*"|\{(\d+)\}\r\n|[^ ()"{]+', re.DOTALL)
_BASIC = 7  # type, subtype, params, id, description, encoding, octets


def body_from_bodystructure(wire: bytes) -> bytes:
    """BODY, that is BODYSTRUCTURE without its extension data, from what `scan` made of a message."""
    out: list[bytes] = []
    _copy_body(tokens(wire), 0, out)
    return b"".join(out)


def tokens(wire: bytes) -> list[bytes]:
    """The tokens of a structure on the wire; a literal is one."""
    pieces, at = [], 0
    while found := _PIECE.match(wire, at):
        end = found.end() + (int(found[1]) if found[1] else 0)
        pieces.append(wire[at:end])
        at = end
    return pieces


def _copy_body(pieces: list[bytes], at: int, out: list[bytes]) -> int:
    """Copies one body that opens at piece `at`; returns the place after it."""
    out.append(b"(")
    at += 1
    if pieces[at] == b"(":
        while pieces[at] == b"(":
            at = _copy_body(pieces, at, out)
        at = copy_values(pieces, at, 1, out)  # after the space: the subtype
    else:
        at = _copy_leaf(pieces, at, out)
    out.append(b")")
    return _skip_rest(pieces, at)


def _copy_leaf(pieces: list[bytes], at: int, out: list[bytes]) -> int:
    main = pieces[at].lower()
    out.append(pieces[at])
    at = copy_values(pieces, at + 1, _BASIC - 1, out)
    if main == b'"message"' and pieces[at + 1] == b"(":  # an envelope, where others have an MD5
        at = copy_values(pieces, at, 1, out)
        out.append(b" ")
        at = _copy_body(pieces, at + 1, out)
        return copy_values(pieces, at, 1, out)
    return copy_values(pieces, at, 1, out) if main == b'"text"' else at


def copy_values(pieces: list[bytes], at: int, count: int, out: list[bytes]) -> int:
    """Copies `count` values, each after its space; a value may be a list."""
    for _ in range(count):
        start, depth = at, 0
        at += 1
        while True:
            depth += (pieces[at] == b"(") - (pieces[at] == b")")
            at += 1
            if not depth:
                break
        out += pieces[start:at]
    return at


def _skip_rest(pieces: list[bytes], at: int) -> int:
    """The place after the parenthesis that closes the list in which `at` is."""
    return copy_rest(pieces, at, [])


def copy_rest(pieces: list[bytes], at: int, out: list[bytes]) -> int:
    """Copies up to that parenthesis, and it."""
    start, depth = at, 1
    while depth:
        depth += (pieces[at] == b"(") - (pieces[at] == b")")
        at += 1
    out += pieces[start:at]
    return at
