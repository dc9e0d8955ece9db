"""Whose addresses stand in From and Sender, for deciding whether somebody may write them there.

Strict where `mime.addresses` is lenient: what other programs might read as another address is an error here, never a
guess. Anything with an @ in it counts, also before the angle brackets, where some programs look. Linear in the input.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from mailpod.mime.params import skip_comment

_TOKEN: Final = re.compile(
    rb'(?P<space>[ \t\r\n]+)|(?P<word>"[^"\\]*(?:\\.[^"\\]*)*"|[^ \t\r\n"()<>@,;:\[\]\\]+|\[[^\[\]\\]*\])'
    rb"|(?P<special>[<>@,])",
    re.DOTALL,
)


def addresses_in(value: bytes) -> list[str]:
    """The addr-specs of a raw From or Sender value (RFC 5322 §3.4): at least one.

    Raises ValueError where it is no plain list of mailboxes: a group, a route, an empty element, a stray character.
    """
    found: list[str] = []
    for element in _elements(_tokens(value)):
        if b"<" in element:
            at = element.index(b"<")
            before, inside = element[:at], element[at + 1 :]
            if inside[-1:] != [b">"]:
                raise ValueError("an angle bracket is open")
            if b"@" in before:
                found.append(_address(before))
            found.append(_address(inside[:-1]))
        else:
            found.append(_address(element))
    return found


def _tokens(value: bytes) -> Iterator[bytes]:
    """Words and specials; white space and comments between them are dropped."""
    at = 0
    while at < len(value):
        if value[at] == 0x28:
            at = skip_comment(value, at)
            continue
        token = _TOKEN.match(value, at)
        if token is None:
            raise ValueError("a character that does not belong there")
        at = token.end()
        if token.lastgroup != "space":
            yield token[0]


def _elements(tokens: Iterator[bytes]) -> list[list[bytes]]:
    elements: list[list[bytes]] = [[]]
    for token in tokens:
        if token == b",":
            elements.append([])
        else:
            elements[-1].append(token)
    return elements


def _address(tokens: list[bytes]) -> str:
    """`local@domain`, three tokens: RFC 5322 §4.4's white space around dots is not let pass."""
    if len(tokens) != 3 or tokens[1] != b"@" or tokens[0] in b"<>@" or tokens[2] in b"<>@":
        raise ValueError("not an address")
    return b"".join(tokens).decode()  # a UnicodeDecodeError is a ValueError
