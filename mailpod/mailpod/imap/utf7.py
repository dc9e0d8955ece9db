"""Mailbox names on the wire: modified UTF-7, RFC 3501 §5.1.3.

Invariant: every name has exactly one wire form, `decode(encode(name)) == name`, and any other form is refused, except
that 8-bit octets are read as UTF-8: nothing else can be meant, and go-imap sends names so to whoever offers IMAP4rev2.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

_SHIFTED: Final = re.compile(r"[^\x20-\x7e]+|&")
_RAW: Final = re.compile(rb"[\x80-\xff]+")
_ENCODED: Final = re.compile(rb"&([A-Za-z0-9+,]*)-")


def encode(name: str) -> bytes:
    """The wire form. Raises ValueError for a lone surrogate, which no decoded name has."""
    return _SHIFTED.sub(lambda match: _shift(match[0]), name).encode("ascii")


def decode(wire: bytes) -> str:
    """The name. Raises ValueError where `wire` is not the one right form of a name."""
    try:
        wire = _RAW.sub(lambda match: encode(match[0].decode("utf-8")), wire)
        name = _ENCODED.sub(_unshift, wire).decode("utf-8")
        # RFC 3501 §5.1.3: no base64 for printable ASCII, no superfluous shifts, `&` only as the shift
        canonical = encode(name) == wire
    except (binascii.Error, UnicodeError):
        canonical = False
    if not canonical:
        raise ValueError("not valid modified UTF-7")
    return name


def _shift(run: str) -> str:
    if run == "&":
        return "&-"
    base64 = binascii.b2a_base64(run.encode("utf-16-be"), newline=False).rstrip(b"=")
    return f"&{base64.decode().replace('/', ',')}-"


def _unshift(match: re.Match[bytes]) -> bytes:
    base64 = match[1].replace(b",", b"/")
    if not base64:
        return b"&"
    raw = binascii.a2b_base64(base64 + b"=" * (-len(base64) % 4))
    return raw.decode("utf-16-be").encode("utf-8")
