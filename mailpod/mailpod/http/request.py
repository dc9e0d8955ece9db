"""The head of an HTTP/1.1 request, as far as the few paths that are served need it. No I/O.

Whatever the bytes, the answer is a Request, None (more is needed) or HttpError; the head is bounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_HEAD: Final = 8192
_MAX_DIGITS: Final = 9  # of a length
_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.([01])")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked. `keep_alive`: another request may follow on this connection."""

    method: str
    path: str
    query: str
    keep_alive: bool
    host: str = ""
    """The Host field without its port, in lower case."""
    accept: str = ""
    port: str = ""
    """The Host field's port, with its colon; empty where it names none."""
    length: int = 0
    """Octets of the body, which follows the head; -1 where its end is told otherwise (chunked), or wrongly."""


class HttpError(Exception):
    """A request that cannot be answered; the connection is closed after this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def parse_request(buffer: bytearray) -> Request | None:
    """Take one request off the front of `buffer`. None: it is not complete. Raises HttpError."""
    end = buffer.find(b"\r\n\r\n", 0, MAX_HEAD)
    if end < 0:
        if len(buffer) >= MAX_HEAD:
            raise HttpError(431)
        return None
    lines = bytes(buffer[:end]).split(b"\r\n")
    del buffer[: end + 4]
    match = _REQUEST_LINE.fullmatch(lines[0])
    if match is None:
        raise HttpError(400)
    method, target, minor = match.groups()
    return _request(method.decode(), target.decode(), _fields(lines[1:]), modern=minor == b"1")


def _request(method: str, target: str, fields: dict[bytes, bytes], *, modern: bool) -> Request:
    if modern and b"host" not in fields:
        raise HttpError(400)  # RFC 9112 §3.2
    path, _, query = target.partition("?")
    # A body would be taken for the next request (RFC 9112 §11.2): nothing follows it on this connection.
    length = _length(fields)
    options = {option.strip() for option in fields.get(b"connection", b"").lower().split(b",")}
    wants_more = b"close" not in options if modern else b"keep-alive" in options
    host, port = _host(fields.get(b"host", b"").decode("latin-1").lower())
    accept = fields.get(b"accept", b"").decode("latin-1")
    keep = wants_more and length == 0
    return Request(method, path, query, keep_alive=keep, host=host, accept=accept, port=port, length=length)


def _length(fields: dict[bytes, bytes]) -> int:
    written = fields.get(b"content-length", b"0")
    if b"transfer-encoding" in fields or not written.isdigit() or len(written) > _MAX_DIGITS:
        return -1
    return int(written)


def _host(written: str) -> tuple[str, str]:
    """RFC 9110 §7.2: name and port; an address of IPv6 has colons of its own, in brackets."""
    if written.startswith("["):
        name, _, port = written[1:].partition("]")
    else:
        name, colon, number = written.partition(":")
        port = colon + number
    return name.rstrip("."), port if port[1:].isdigit() else ""


def _fields(lines: list[bytes]) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise HttpError(400)
        fields[match[1].lower()] = match[2]
    return fields
