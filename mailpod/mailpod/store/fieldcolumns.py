"""Header fields that clients search, a column each, kept beside search postings (FORMAT.md, "Search"): no page is read
for them. No I/O.

Invariants
- A row has all that SEARCH compares of the field (mime/fieldtexts.py), and its marks stand in no string, since UTF-8
  has none of these octets. A row that is too long says only that: its message must be read.
- However far a column expands, it is of a bounded size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import zstandard
from pyroaring import BitMap

from ..mime.fieldtexts import field_texts
from ..mime.headers import field_values
from .page import BadPage
from .texts import octets

FIELDS: Final = (b"from", b"to", b"cc", b"bcc", b"subject", b"message-id")
"""Names; more may be added behind them."""
_ROW_END: Final = b"\xff"
_VALUE_END: Final = b"\xfe"
_LONG: Final = b"\xfd"
_MOST: Final = 2048  # octets of a row


def row_of(fields: bytes) -> tuple[bytes, ...]:
    """One message's entry in each column, from what its page keeps."""
    return tuple(_entry(field_values(fields, name), name) for name in FIELDS)


def _entry(values: Sequence[bytes], name: bytes) -> bytes:
    if sum(map(len, values)) > _MOST:
        return _LONG
    text = b"".join([octets(each) + _VALUE_END for each in field_texts(values, name)])
    return text if len(text) <= _MOST else _LONG


def pack(rows: Sequence[tuple[bytes, ...]]) -> list[bytes]:
    """The columns of some messages; none where there are no messages."""
    return [_packed(b"".join([entry + _ROW_END for entry in column])) for column in zip(*rows, strict=True)]


def unpack(packed: bytes, count: int) -> bytes:
    """A column of `count` messages, to be asked with `holding`. Raises BadPage."""
    try:
        if zstandard.frame_content_size(packed) > (_MOST + 1) * count:
            raise BadPage("a column of more octets than are written")
        column = zstandard.ZstdDecompressor().decompress(packed)
    except zstandard.ZstdError as error:
        raise BadPage(str(error)) from error
    if column.count(_ROW_END) != count:
        raise BadPage("a column of other messages")
    return column


def joined(one: bytes, two: bytes) -> bytes:
    """Two columns as `unpack` gives them, packed as one."""
    return _packed(one + two)


def holding(column: bytes, string: bytes) -> tuple[BitMap, BitMap]:
    """Rows that hold the string, which is not empty; and those of which the column does not say it."""
    return _rows_with(column, string), _rows_with(column, _LONG)


def _rows_with(column: bytes, string: bytes) -> BitMap:
    rows = BitMap()
    row = start = 0
    while (at := column.find(string, start)) >= 0:
        row += column.count(_ROW_END, start, at)
        rows.add(row)
        start = column.index(_ROW_END, at) + 1
        row += 1
    return rows


def _packed(column: bytes) -> bytes:
    return zstandard.ZstdCompressor(1, write_checksum=True).compress(column)
