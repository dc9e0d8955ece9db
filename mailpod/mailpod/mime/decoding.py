"""A part without its Content-Transfer-Encoding (RFC 2045 §6), for FETCH BINARY (RFC 3516 §4.2). No I/O."""

from __future__ import annotations

import re
from typing import Final

from mailpod.mime.charsets import base64, quoted_printable
from mailpod.mime.headers import header_end, parse_fields, unfold

_PADDING: Final = re.compile(rb"(?<![ \t])[ \t]+(?=\r?(?:\n|\Z))")
"""RFC 2045 §6.7 rule 3: white space at the end of an encoded line was added on the way, and is deleted."""
_IDENTITY: Final = frozenset((b"", b"7bit", b"8bit", b"binary"))


class UnknownEncoding(Exception):
    """A Content-Transfer-Encoding that we cannot undo."""


def decoded_part(part: bytes) -> bytes:
    """The octets of a part that is given with its header. Raises UnknownEncoding."""
    start = header_end(part, 0, len(part))
    encoding = transfer_encoding(part[:start])
    if encoding in _IDENTITY:
        return part[start:]
    if encoding == b"base64":
        return base64(part[start:])
    if encoding == b"quoted-printable":
        return quoted_printable(_PADDING.sub(b"", part[start:]))
    raise UnknownEncoding


def transfer_encoding(header: bytes) -> bytes:
    """The mechanism that a header names, in lower case; b"" without one."""
    values = parse_fields(header).get(b"content-transfer-encoding")
    words = unfold(values[0]).partition(b"(")[0].partition(b";")[0].split() if values else []
    return words[0].lower() if words else b""
