"""Text of messages for SEARCH, SORT and THREAD: decoded, never raising, whatever the message says of itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mailpod.mime.charsets import base64, decode, quoted_printable
from mailpod.mime.dates import parse_date
from mailpod.mime.headers import Fields, parse_fields, unfold
from mailpod.mime.params import content_type
from mailpod.mime.structure import LEAF
from mailpod.mime.subject import subject_base
from mailpod.mime.words import decode_block, decode_header

__all__ = ["decode_header", "decoded_text", "parse_date", "subject_base"]


def decoded_text(data: bytes, parts: Sequence[int], header_size: int, *, headers: bool) -> Iterator[str]:
    """The message's text, a header or a body at a time, for SEARCH TEXT (`headers`) and SEARCH BODY.

    `parts` and `header_size` are the Scan's. Bodies of text and of types unknown to us as binary only: base64 and
    quoted-printable undone, charset decoded, HTML as it stands with its tags. Headers of inner parts belong to the
    body (RFC 3501 §6.4.4: BODY is all but the message's own header). Case and white space are left alone.
    """
    rows = parts or (0, LEAF, 0, header_size, len(data))
    if headers:
        yield decode_block(data[:header_size])
    for at in range(0, len(rows), 5):
        depth, kind, header_start, body_start, body_end = rows[at : at + 5]
        header = data[header_start:body_start]
        if depth and header:
            yield decode_block(header)
        leaf = kind == LEAF or at + 5 == len(rows) or rows[at + 5] <= depth  # a multipart may have no parts
        if leaf and body_end > body_start:
            text = _body_text(header, data[body_start:body_end])
            if text:
                yield text


def _body_text(header: bytes, body: bytes) -> str:
    fields = parse_fields(header)
    kind, charset = _kind_and_charset(fields)
    if kind not in (b"text", b"message", b"multipart"):
        return ""
    values = fields.get(b"content-transfer-encoding")
    encoding = unfold(values[0]).lower() if values else b""
    if encoding.startswith(b"base64"):
        body = base64(body)
    elif encoding.startswith(b"quoted-printable"):
        body = quoted_printable(body)
    return decode(body, charset)


def _kind_and_charset(fields: Fields) -> tuple[bytes, str]:
    values = fields.get(b"content-type")
    found = content_type(values[0]) if values else None
    if found is None:
        return b"text", ""
    charsets = [value for name, value in found[2] if name.lower() == b"charset"]
    return found[0].lower(), charsets[0].decode("latin-1") if charsets else ""
