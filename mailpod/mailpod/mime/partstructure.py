"""The structure of one part, out of that of a message (RFC 5259 §8.2). No I/O."""

from __future__ import annotations

import re
from typing import Final

from mailpod.mime.sections import tokens

_ENCODING, _OCTETS, _MORE = 5, 6, 7  # RFC 3501 §7.4.2: values of a part that is no multipart
_MESSAGE: Final = 8  # the body of a message in it, behind the envelope
_IDENTITY: Final = (b'"7bit"', b'"8bit"', b'"binary"')
_LINES: Final = re.compile(rb"(?:[^\r\n\0]{0,998}\r\n)*[^\r\n\0]{0,998}")  # RFC 2045 §2.7, §2.8


def part_structure(wire: bytes, path: tuple[int, ...]) -> bytes | None:
    """Of BODY[path], from what `scan` made of the message; None where there is no such part."""
    pieces = tokens(wire)
    at, enclosed = 0, True  # a whole message, of which a number names a part: as sections.py `_descend`
    for number in path:
        values = _values(pieces, at)
        if not enclosed and _is_message(pieces, values):
            at, enclosed = values[_MESSAGE], True
            values = _values(pieces, at)
        if pieces[values[0]] == b"(":
            children = [value for value in values if pieces[value - 1] != b" "]
            if not 1 <= number <= len(children):
                return None
            at, enclosed = children[number - 1], False
        elif enclosed and number == 1:
            enclosed = False
        else:
            return None
    return b"".join(pieces[at : _after(pieces, at)])


def decoded_structure(structure: bytes, data: bytes) -> bytes:
    """The same part where `data` is it without its transfer encoding (RFC 5524 §3.2)."""
    pieces = tokens(structure)
    values = _values(pieces, 0)
    if pieces[values[0]] == b"(" or pieces[values[_ENCODING]].lower() in _IDENTITY:
        return structure
    pieces[values[_ENCODING]] = _identity(data)
    pieces[values[_OCTETS]] = b"%d" % len(data)
    if pieces[values[0]].lower() == b'"text"':
        pieces[values[_MORE]] = b"0"  # RFC 5524 §3.1: it is not formed of lines; imaptest's urlauth-binary has 0
    return b"".join(pieces)


def _identity(data: bytes) -> bytes:
    """The encoding that says of octets what they are."""
    if not _LINES.fullmatch(data):
        return b'"binary"'
    return b'"7bit"' if data.isascii() else b'"8bit"'


def _is_message(pieces: list[bytes], values: list[int]) -> bool:
    return pieces[values[0]].lower() == b'"message"' and len(values) > _MESSAGE and pieces[values[_MORE]] == b"("


def _values(pieces: list[bytes], at: int) -> list[int]:
    """Where the values of the list begin that opens at `at`. The parts of a multipart have no space between them."""
    at, found = at + 1, []
    while pieces[at] != b")":
        if pieces[at] == b" ":
            at += 1
        found.append(at)
        at = _after(pieces, at)
    return found


def _after(pieces: list[bytes], at: int) -> int:
    """Behind the value that begins at `at`."""
    depth = 0
    while True:
        depth += (pieces[at] == b"(") - (pieces[at] == b")")
        at += 1
        if not depth:
            return at
