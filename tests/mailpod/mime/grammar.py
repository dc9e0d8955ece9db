"""A strict reader of what `scan` sends: RFC 3501 §9's envelope and body, nothing more. Raises AssertionError."""

from __future__ import annotations

import re
from typing import Any

_PIECE = re.compile(
    rb'([()])|"((?:[^"\\\r\n\0\x80-\xff]|\\["\\])*)"|~?\{(\d+)\}\r\n|(NIL)|(\d+)|([A-Z][A-Z0-9.]*(?:\[[^]]*\])?)'
)

QUOTED = 2100
"""We send what is longer as a literal."""


def read(wire: bytes) -> Any:
    """Lists, bytes, ints and None; whatever is not exactly one list fails, spaces included."""
    value, at = _value(wire, 0, QUOTED)
    assert at == len(wire), wire[at:]
    assert isinstance(value, list)
    return value


def read_at(wire: bytes, at: int) -> tuple[Any, int]:
    """The value at `at`, and the place after it; a quoted string may be of any length, as Dovecot's are."""
    return _value(wire, at, len(wire))


def _value(wire: bytes, at: int, longest: int) -> tuple[Any, int]:
    found = _PIECE.match(wire, at)
    assert found, (at, wire[at : at + 80])
    paren, quoted, literal, nil, number, atom = found.groups()
    if paren:
        assert paren == b"("
        return _list(wire, found.end(), longest)
    if literal is not None:
        end = found.end() + int(literal)
        assert end <= len(wire)
        assert wire[found.start() : found.start() + 1] == b"~" or b"\0" not in wire[found.end() : end]
        return wire[found.end() : end], end
    if quoted is not None:
        assert len(quoted) <= longest
        return re.sub(rb"\\(.)", rb"\1", quoted), found.end()
    if atom is not None:  # the name of a FETCH item
        return atom, found.end()
    return (None if nil else int(number)), found.end()


def _list(wire: bytes, at: int, longest: int) -> tuple[list[Any], int]:
    values: list[Any] = []
    while wire[at : at + 1] != b")":
        # addresses and bodies stand side by side without a space (RFC 3501 §9: 1*address, 1*body)
        if values and not (isinstance(values[-1], list) and wire[at : at + 1] == b"("):
            assert wire[at : at + 1] == b" ", (at, wire[at : at + 80])
            at += 1
        value, at = _value(wire, at, longest)
        values.append(value)
    assert values, "an empty list is nowhere in these grammars"
    return values, at + 1


def check_envelope(value: Any) -> None:
    assert isinstance(value, list)
    assert len(value) == 10
    for place in (0, 1, 8, 9):
        assert value[place] is None or isinstance(value[place], bytes)
    for place in range(2, 8):
        for address in value[place] or []:
            assert len(address) == 4
            assert all(part is None or isinstance(part, bytes) for part in address)


def check_body(value: Any, extension: bool, enclosing: tuple[bytes, ...] = (b"rfc822", b"global")) -> None:
    if isinstance(value[0], list):
        count = next(n for n, item in enumerate(value) if not isinstance(item, list))
        for child in value[:count]:
            check_body(child, extension, enclosing)
        assert isinstance(value[count], bytes)
        rest = value[count + 1 :]
        assert len(rest) == (4 if extension else 0)
        if extension:
            _params(rest[0])
            _end(rest[1:])
        return
    kind, subtype, params, part_id, description, encoding, size = value[:7]
    assert isinstance(kind, bytes)
    assert isinstance(subtype, bytes)
    assert isinstance(encoding, bytes)
    assert isinstance(size, int)
    assert part_id is None or isinstance(part_id, bytes)
    assert description is None or isinstance(description, bytes)
    _params(params)
    rest = value[7:]
    if kind.lower() == b"message" and subtype.lower() in enclosing:
        check_envelope(rest[0])
        check_body(rest[1], extension, enclosing)
        rest = rest[2:]
    if kind.lower() == b"text" or (kind.lower() == b"message" and subtype.lower() in enclosing):
        assert isinstance(rest[0], int)
        rest = rest[1:]
    assert len(rest) == (4 if extension else 0)
    if extension:
        assert rest[0] is None or isinstance(rest[0], bytes)
        _end(rest[1:])


def _params(value: Any) -> None:
    assert value is None or (len(value) % 2 == 0 and all(isinstance(item, bytes) for item in value))


def _end(rest: list[Any]) -> None:
    disposition, language, location = rest
    if disposition is not None:
        assert isinstance(disposition[0], bytes)
        _params(disposition[1])
    assert language is None or all(isinstance(tag, bytes) for tag in language)
    assert location is None or isinstance(location, bytes)
