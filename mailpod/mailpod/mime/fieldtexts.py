"""Texts of header fields as SEARCH compares them (RFC 3501 §6.4.4, RFC 5255 §4.6). No I/O.

Invariant: an address is there as it stands, and as ENVELOPE has it where that is something else. Nothing raises.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from mailpod.mime.addresses import mailboxes
from mailpod.mime.collation import casemap
from mailpod.mime.words import decode_header

# An address that is not written in one piece has one of these
_PIECES: Final = (b" @", b"\t@", b")@", b'"@', b"@ ", b"@\t", b"@(")
_ADDRESSES: Final = frozenset((b"from", b"to", b"cc", b"bcc"))


def field_texts(values: Sequence[bytes], name: bytes) -> Iterator[str]:
    """Of raw values of a field `name` (lower case), mapped: a string is in one of these, or not in the field."""
    for value in values:
        yield casemap(decode_header(value))
    if name in _ADDRESSES:  # RFC 3501 §6.4.4: FROM and the like look at the ENVELOPE, whose addresses have no comments
        for value in filter(in_pieces, values):
            for found in mailboxes(value):
                yield casemap(found.decode("utf-8", "replace"))


def in_pieces(raw: bytes) -> bool:
    """Whether an address in this may be written so."""
    return any(sign in raw for sign in _PIECES)
