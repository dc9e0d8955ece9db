"""What a part's header says, whatever stands around the part. Parts of different mail have the same few headers, so
what a short one says is remembered.

Invariant: a PartHeader is shared, and stays as it was made; bodystructure.py alone adds what follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from mailpod.mime.headers import Fields, parse_lines, split_lines
from mailpod.mime.params import Params, content_type

LEAF, MULTIPART, MESSAGE = 0, 1, 2
ENCLOSING = (b"rfc822", b"global")  # of type message: what is in them is a message (RFC 2046 §5.2.1, RFC 6532 §3.7)
_BOUNDARY_MAX = 80  # RFC 2046 §5.1.1 says 70; a longer one is compared by its first 80 octets, as in Dovecot
_REMEMBERED: Final = 1024  # headers
_SHORT: Final = 256  # octets of one that is remembered


@dataclass(slots=True)
class PartHeader:
    """`kind` is what the type says; a part with it may be a leaf nevertheless, beyond the limits of structure.py."""

    fields: Fields
    kept: list[bytes]  # its raw lines of CACHED_FIELDS
    others: list[bytes]  # the names of the other fields, each once
    type: bytes
    subtype: bytes
    params: Params
    kind: int
    is_text: bool
    boundary: bytes | None  # of a multipart; without one it has no parts, as in Dovecot
    wire: tuple[bytes, bytes] | None = None  # of BODYSTRUCTURE, what stands before and behind a leaf's size


def read_header(raw: bytes, digest: bool) -> PartHeader:
    """`raw` with its blank line; `digest`: of a part of a multipart/digest."""
    return _remembered(raw, digest) if len(raw) <= _SHORT else _read(raw, digest)


def _read(raw: bytes, digest: bool) -> PartHeader:
    fields, kept, others = parse_lines(split_lines(raw))
    main, sub, params = _content_type(fields, digest)
    lowered = main.lower()
    kind, boundary = LEAF, None
    if lowered == b"multipart":
        kind, boundary = MULTIPART, _boundary(params)
    elif lowered == b"message" and sub.lower() in ENCLOSING:
        kind = MESSAGE
    return PartHeader(fields, kept, others, main, sub, params, kind, lowered == b"text", boundary)


_remembered = lru_cache(_REMEMBERED)(_read)


def _content_type(fields: Fields, digest: bool) -> tuple[bytes, bytes, Params]:
    values = fields.get(b"content-type")
    found = content_type(values[0]) if values else None
    if found:
        return found
    # RFC 2046 §5.1.5: in a digest the default is message/rfc822
    return (b"message", b"rfc822", []) if digest and not values else (b"text", b"plain", [])


def _boundary(params: Params) -> bytes | None:
    for name, value in params:
        if name.lower() == b"boundary" and value:
            return value[:_BOUNDARY_MAX]
    return None
