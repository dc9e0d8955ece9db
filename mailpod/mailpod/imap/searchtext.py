"""Substrings as SEARCH compares them (RFC 5255 §4.6): encodings are undone, and RFC 5051 compares. No I/O.

Invariants: what the cheap look at raw octets rules out could not match; everything else is decoded and compared.
Nothing raises, whatever a message holds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from mailpod.mime.collation import casemap
from mailpod.mime.fieldtexts import field_texts, in_pieces
from mailpod.mime.headers import field_values, parse_fields
from mailpod.mime.text import decoded_text

# Lower-case signs that text may read otherwise than its octets do: encodings, and charsets that are not ASCII below 128
_DISGUISES: Final = (b"=?", b"base64", b"quoted-printable", b"\x1b", b"utf-7", b"utf7", b"hz-gb", b"\0")


class Needle:
    """One string asked for."""

    __slots__ = ("_blank", "_mapped", "_word")

    def __init__(self, value: str) -> None:
        self._mapped = casemap(value)
        words = self._mapped.split()
        self._blank = not words
        # White space may be folded in a header: the longest word is what raw octets surely hold
        self._word = max(words, key=len).lower().encode() if words and self._mapped.isascii() else b""

    @property
    def mapped(self) -> str:
        """What the text must hold, both as RFC 5051 maps them."""
        return self._mapped

    def possible(self, raw: bytes) -> bool:
        """False where `raw`, decoded, cannot hold the string."""
        if not raw.isascii():
            return True
        lower = raw.lower()
        if self._blank or (self._word and self._word in lower):
            return True
        return any(sign in lower for sign in _DISGUISES)

    def in_text(self, text: str) -> bool:
        return self._mapped in casemap(text)

    def in_fields(self, raw: bytes, name: bytes) -> bool:
        """Does a field `name` (lower case) of this header block hold the string? The empty one asks for the field."""
        return self._in_values(parse_fields(raw).get(name, ()), name)

    def in_column(self, column: Sequence[bytes], encoded: Sequence[bool], name: bytes) -> list[bool]:
        """The same of a column of fields as pages keep them, `encoded` being `encoded_fields` of it."""
        maybe = [True] * len(column) if self._blank else list(encoded)
        if self._word:
            for row in _rows_with(self._word, column):
                maybe[row] = True
        return [
            each and self._in_values(field_values(raw, name), name) for each, raw in zip(maybe, column, strict=True)
        ]

    def _in_values(self, values: Sequence[bytes], name: bytes) -> bool:
        return any(self._mapped in text for text in field_texts(values, name))

    def in_message(self, data: bytes, parts: Sequence[int], header_size: int, headers: bool) -> bool:
        """SEARCH TEXT (`headers`) and BODY."""
        if not self.possible(data):
            return False
        return any(map(self.in_text, decoded_text(data, parts, header_size, headers=headers)))


def encoded_fields(column: Sequence[bytes]) -> list[bool]:
    """Which of these header blocks may read otherwise than their octets do."""
    if not _encoded(b"\n".join(column)):
        return [False] * len(column)
    return list(map(_encoded, column))


def _encoded(raw: bytes) -> bool:
    return b"=?" in raw or not raw.isascii() or b"\x1b" in raw or in_pieces(raw)


def _rows_with(word: bytes, column: Sequence[bytes]) -> Iterator[int]:
    """Rows that hold `word` (lower case, no white space) in any case: one search over all of them."""
    joined = b"\n".join(column).lower()
    at = joined.find(word)
    if at < 0:
        return
    ends = list(accumulate(len(raw) + 1 for raw in column))
    while at >= 0:
        row = bisect_right(ends, at)
        yield row
        at = joined.find(word, ends[row])
