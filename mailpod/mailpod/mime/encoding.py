"""A message with NULs as one without (RFC 3516 §4.4): the parts that hold them are put into base64. No I/O."""

from __future__ import annotations

import base64
import re
from typing import Final

from mailpod.mime.decoding import transfer_encoding
from mailpod.mime.scan import scan
from mailpod.mime.structure import LEAF

_FIELD: Final = re.compile(rb"(?im)^content-transfer-encoding[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*")
_LINE: Final = b"Content-Transfer-Encoding: base64\r\n"
_RAW: Final = frozenset((b"", b"7bit", b"8bit", b"binary"))


class CannotEncode(Exception):
    """A NUL stands where nothing can be encoded: in a header, between parts, or in what is encoded already."""


def without_nuls(data: bytes) -> bytes:
    """The same message, its octets the same but for leaf parts with NULs. Raises CannotEncode."""
    found = scan(data)
    rows = found.parts or (0, LEAF, 0, found.header_size, len(data))
    out: list[bytes] = []
    done = 0
    for at in range(0, len(rows), 5):
        _, kind, header_start, body_start, body_end = rows[at : at + 5]
        if kind != LEAF or b"\0" not in data[body_start:body_end]:
            continue
        header = data[header_start:body_start]
        if transfer_encoding(header) not in _RAW:
            raise CannotEncode
        out += (data[done:header_start], _LINE, _FIELD.sub(b"", header))
        out.append(base64.encodebytes(data[body_start:body_end]).replace(b"\n", b"\r\n").removesuffix(b"\r\n"))
        done = body_end
    out.append(data[done:])
    encoded = b"".join(out)
    if b"\0" in encoded:
        raise CannotEncode
    return encoded
