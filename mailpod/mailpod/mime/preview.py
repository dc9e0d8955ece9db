"""The beginning of a message's text, as a list of messages shows it (RFC 8970). No I/O; never raises."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Final

from mailpod.mime.charsets import base64, decode, quoted_printable
from mailpod.mime.decoding import transfer_encoding
from mailpod.mime.headers import parse_fields
from mailpod.mime.params import content_type
from mailpod.mime.structure import LEAF

PREVIEWED: Final = 128 * 1024
"""Octets behind the header that are looked at."""
_LONGEST: Final = 200  # RFC 8970 §3.2: characters
_LOOKED_AT: Final = 64 * 1024  # of the text of one part
_HIDDEN: Final = re.compile(r"(?is)<(style|script|head|title)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)")
_TAG: Final = re.compile(r"<[^<>]*(?:>|\Z)")
_QUOTED: Final = re.compile(r"(?m)^>.*\n?")
_WHITE: Final = re.compile(r"[\s\u200b-\u200f\u2060\ufeff\x00-\x1f\x7f]+")


def preview(data: bytes, parts: Sequence[int], header_size: int) -> str:
    """At most 200 characters on one line, "" where there is no text; `parts` and `header_size` are the Scan's.

    `data` may be cut off behind the header. The first text/plain part counts, else the first text/html.
    """
    rows = parts or (0, LEAF, 0, header_size, len(data))
    fallback = ""
    for at in range(0, len(rows), 5):
        _, kind, header_start, body_start, body_end = rows[at : at + 5]
        if kind != LEAF or body_start >= len(data):
            continue
        header = data[header_start:body_start]
        subtype, charset = _text_type(header)
        if subtype not in (b"plain", b"html") or (subtype == b"html" and fallback):
            continue
        text = decode(_decoded(header, data[body_start : min(body_end, body_start + _LOOKED_AT)]), charset)
        if subtype == b"plain":
            shown = _line(_QUOTED.sub("", text)) or _line(text)
            if shown:
                return shown
        else:
            fallback = _line(html.unescape(_TAG.sub(" ", _HIDDEN.sub(" ", text))))
    return fallback


def _line(text: str) -> str:
    return _WHITE.sub(" ", text[:_LOOKED_AT]).strip()[:_LONGEST].rstrip()


def _text_type(header: bytes) -> tuple[bytes, str]:
    """Subtype of text and charset; b"" for what is not text, or an attachment."""
    fields = parse_fields(header)
    disposition = fields.get(b"content-disposition")
    if disposition and disposition[0].strip().lower().startswith(b"attachment"):
        return b"", ""
    values = fields.get(b"content-type")
    found = content_type(values[0]) if values else None
    if found is None:
        return b"plain", ""  # RFC 2045 §5.2
    charsets = [value for name, value in found[2] if name.lower() == b"charset"]
    return (found[1].lower() if found[0].lower() == b"text" else b""), charsets[0].decode("latin-1") if charsets else ""


def _decoded(header: bytes, body: bytes) -> bytes:
    encoding = transfer_encoding(header)
    if encoding == b"base64":
        return base64(body)
    return quoted_printable(body) if encoding == b"quoted-printable" else body
