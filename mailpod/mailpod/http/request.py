"""The head of an HTTP/1.1 request, as far as GET and HEAD of three paths need it. No I/O.

Whatever the bytes, the answer is a Request, None (more is needed) or HttpError; the head is bounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_HEAD: Final = 8192
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
    has_body = b"transfer-encoding" in fields or fields.get(b"content-length", b"0") != b"0"
    options = {option.strip() for option in fields.get(b"connection", b"").lower().split(b",")}
    wants_more = b"close" not in options if modern else b"keep-alive" in options
    host = _without_port(fields.get(b"host", b"").decode("latin-1").lower())
    accept = fields.get(b"accept", b"").decode("latin-1")
    return Request(method, path, query, keep_alive=wants_more and not has_body, host=host, accept=accept)


def _without_port(host: str) -> str:
    """RFC 9110 §7.2; an address of IPv6 has colons of its own, in brackets."""
    if host.startswith("["):
        return host.partition("]")[0].lstrip("[")
    return host.partition(":")[0].rstrip(".")


def _fields(lines: list[bytes]) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise HttpError(400)
        fields[match[1].lower()] = match[2]
    return fields
