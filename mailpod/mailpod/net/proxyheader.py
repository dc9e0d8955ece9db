"""The header of the PROXY protocol, version 1 or 2, out of the octets that arrive: no I/O.

What follows a header is the client's, perhaps the beginning of a TLS handshake, and has to stay in the socket: `wanted`
never asks for more than the header surely still has. Source: HAProxy's doc/proxy-protocol.txt, §2.1 and §2.2.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NamedTuple

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"  # §2.2
_WORD: Final = b"PROXY "  # §2.1
_SHORTEST: Final = len(b"PROXY UNKNOWN\r\n")  # no header of either version is shorter
_FIXED: Final = 16  # octets of version 2 before the addresses
_LONGEST_LINE: Final = 107  # §2.1, its CRLF included
_LINE: Final = re.compile(r"PROXY TCP([46]) (\S+) (\S+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})\r\n")
_UNKNOWN: Final = re.compile(r"PROXY UNKNOWN(?: [^\r\n]*)?\r\n")


class BadHeader(ValueError):
    """What came is no header of the PROXY protocol, or one longer than allowed."""


class Source(NamedTuple):
    """The client, as the proxy saw it."""

    host: str
    port: int


class HeaderReader:
    """Feed it at most `wanted` octets at a time, until that is 0."""

    def __init__(self, limit: int) -> None:
        """`limit` is in octets, of a header of version 2 with what it says besides the addresses."""
        self._limit = limit
        self._data = bytearray()
        self.wanted = _SHORTEST
        self.source: Source | None = None
        """None where the proxy speaks for itself, or does not know."""

    def feed(self, data: bytes) -> None:
        """Raises BadHeader as soon as the octets cannot become a header."""
        self._data += data
        if self._begins(_SIGNATURE):
            self._feed_binary()
        elif self._begins(_WORD):
            self._feed_line()
        else:
            raise BadHeader("neither version's signature")

    def _begins(self, signature: bytes) -> bool:
        return self._data[: len(signature)] == signature[: len(self._data)]

    # version 1

    def _feed_line(self) -> None:
        data = self._data
        end = data.find(b"\n")
        if end >= 0:
            self.wanted = 0
            self.source = _line(bytes(data))
        elif len(data) > _LONGEST_LINE - 1:
            raise BadHeader("a line that does not end")
        elif len(data) < _SHORTEST:
            self.wanted = _SHORTEST - len(data)
        else:  # its end is CRLF, of which the CR may be here
            self.wanted = 1 if data.endswith(b"\r") else min(2, _LONGEST_LINE - len(data))

    # version 2

    def _feed_binary(self) -> None:
        data = self._data
        if len(data) < _FIXED:
            self.wanted = min(_SHORTEST, _FIXED) - len(data) or _FIXED - len(data)
            return
        whole = _FIXED + int.from_bytes(data[14:16], "big")
        if whole > self._limit:
            raise BadHeader("longer than allowed")
        self.wanted = whole - len(data)
        if not self.wanted:
            self.source = _addresses(data[12], data[13], bytes(data[_FIXED:]))


def _line(data: bytes) -> Source | None:
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        raise BadHeader("a line that is not ASCII") from None
    if _UNKNOWN.fullmatch(text):
        return None
    match = _LINE.fullmatch(text)
    if match is None:
        raise BadHeader("a line that is no header")
    version, source, destination, port, other = match.groups()
    kind = ipaddress.IPv4Address if version == "4" else ipaddress.IPv6Address
    try:
        host, _ = kind(source), kind(destination)
    except ValueError:
        raise BadHeader("addresses that are none") from None
    if max(int(port), int(other)) > 65_535 or "%" in source:
        raise BadHeader("a port or a zone that cannot be")
    return Source(str(host), int(port))


def _addresses(command: int, family: int, rest: bytes) -> Source | None:
    if command not in (0x20, 0x21):
        raise BadHeader("neither LOCAL nor PROXY of version 2")
    if command == 0x20 or family in (0x00, 0x31):  # LOCAL; unspecified, a Unix socket
        return None
    if family == 0x11 and len(rest) >= 12:
        return Source(str(ipaddress.IPv4Address(rest[:4])), int.from_bytes(rest[8:10], "big"))
    if family == 0x21 and len(rest) >= 36:
        return Source(str(ipaddress.IPv6Address(rest[:16])), int.from_bytes(rest[32:34], "big"))
    raise BadHeader("addresses of a kind that no TCP connection has, or cut short")
