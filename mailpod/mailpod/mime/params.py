"""Content-Type and Content-Disposition: a value and its parameters (RFC 2045 §5.1, RFC 2183).

Of RFC 2231's parameters the pieces are joined, for BODYSTRUCTURE; their characters stay as they are coded, which is
for the client to undo. Linear in the input.
"""

from __future__ import annotations

import re
from typing import TypeAlias

Params: TypeAlias = list[tuple[bytes, bytes]]

_SIMPLE = re.compile(
    rb"([A-Za-z0-9.+-]+)/([A-Za-z0-9.+-]+)(?:; ?([A-Za-z-]+)=(?:\"([^\"\\\0\r\n]*)\"|([A-Za-z0-9._+/-]+)))?"
)
_TOKEN = re.compile(rb"[^\s\0()<>@,;:\\\"/\[\]?=]+")
_VALUE = re.compile(rb"[^\s\0;\"(]+")
_QUOTED = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)\\?"?', re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_FOLD = re.compile(rb"\r?\n[ \t]?")
_PIECE = re.compile(rb"(.+)\*(0|[1-9][0-9]{0,3})(\*?)", re.DOTALL)  # RFC 2231 §7, section
_SPACE = re.compile(rb"\s*")
_COMMENT_PIECE = re.compile(rb"[^()\\]*(?:\\.[^()\\]*)*\\?", re.DOTALL)


def skip_space(value: bytes, at: int) -> int:
    """Offset after white space and comments (RFC 5322 §3.2.2 CFWS) at `at`; an open comment reaches to the end."""
    at = _end(_SPACE, value, at)
    while value.startswith(b"(", at):
        at = _end(_SPACE, value, skip_comment(value, at))
    return at


def skip_comment(value: bytes, at: int) -> int:
    """Offset after the comment that opens at `at`; comments nest."""
    depth = 0
    while at < len(value):
        depth += 1 if value[at] == 0x28 else -1
        if not depth:
            return at + 1
        at = _end(_COMMENT_PIECE, value, at + 1)
    return at


def _end(pattern: re.Pattern[bytes], value: bytes, at: int) -> int:
    found = pattern.match(value, at)
    return found.end() if found else at


def unquote(value: bytes) -> bytes:
    """The content of a quoted string without its quotes: backslashes undone, a fold made one space."""
    if b"\\" in value:
        value = _ESCAPE.sub(rb"\1", value)
    return _FOLD.sub(b" ", value) if b"\n" in value else value


def content_type(value: bytes) -> tuple[bytes, bytes, Params] | None:
    """Type, subtype and parameters of a raw Content-Type, or None where it is not `type/subtype`."""
    value = value.strip()
    simple = _SIMPLE.fullmatch(value)
    if simple:
        kind, subtype, name, quoted, plain = simple.groups()
        return kind, subtype, [] if name is None else [(name, plain if quoted is None else quoted)]
    at = skip_space(value, 0)
    first = _TOKEN.match(value, at)
    if first is None:
        return None
    at = skip_space(value, first.end())
    if not value.startswith(b"/", at):
        return None
    second = _TOKEN.match(value, skip_space(value, at + 1))
    if second is None:
        return None
    return first[0], second[0], parameters(value, second.end())


def token(value: bytes) -> bytes | None:
    """The first token of a raw value, comments before it skipped; None where there is none."""
    found = _TOKEN.match(value, skip_space(value, 0))
    return found[0] if found else None


def disposition(value: bytes) -> tuple[bytes, Params] | None:
    """Disposition and parameters of a raw Content-Disposition, or None where it is empty or garbage."""
    value = value.strip()
    found = _TOKEN.match(value, skip_space(value, 0))
    return (found[0], parameters(value, found.end())) if found else None


def parameters(value: bytes, at: int) -> Params:
    """The `; name=value` pairs from `at` on; what is not a pair is skipped up to the next semicolon."""
    pairs: Params = []
    while True:
        at = skip_space(value, at)
        if not value.startswith(b";", at):
            at = value.find(b";", at)
            if at < 0:
                return pairs
        name = _TOKEN.match(value, skip_space(value, at + 1))
        if name is None:
            at += 1
            continue
        at = skip_space(value, name.end())
        if value.startswith(b"=", at):
            found, at = _parameter_value(value, skip_space(value, at + 1))
            pairs.append((name[0], found))


def _parameter_value(value: bytes, at: int) -> tuple[bytes, int]:
    quoted = _QUOTED.match(value, at)
    if quoted:
        return unquote(quoted[1]), quoted.end()
    # RFC 2045 §5.1 wants a token; real mail has tspecials such as "/" and "=" here, so only ";" and space end it
    plain = _VALUE.match(value, at)
    return (plain[0], plain.end()) if plain else (b"", at)


def joined(params: Params) -> Params:
    """Continuations as one parameter each (RFC 2231 §3, §6), in its first piece's place; with a gap, as they stand."""
    if b"*" not in b"".join([name for name, _ in params]):
        return params
    pieces: dict[bytes, dict[int, tuple[bytes, bytes]]] = {}
    for name, value in params:
        if b"*" in name and (found := _PIECE.fullmatch(name)):
            pieces.setdefault(found[1].lower(), {})[int(found[2])] = (found[3], value)
    whole = {name: each for name, each in pieces.items() if set(each) == set(range(len(each)))}
    out: Params = []
    for name, value in params:
        found = _PIECE.fullmatch(name) if b"*" in name else None
        if found is None or found[1].lower() not in whole:
            out.append((name, value))
        elif each := whole[found[1].lower()]:
            out.append(_join(found[1], [each[number] for number in range(len(each))]))
            each.clear()
    return out


def _join(name: bytes, pieces: list[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    """One coded piece makes the whole coded (RFC 2231 §4.1): in the others a percent sign is itself."""
    if not any(coded for coded, _ in pieces):
        return name, b"".join([value for _, value in pieces])
    return name + b"*", b"".join([value if coded else value.replace(b"%", b"%25") for coded, value in pieces])
