"""Texts of messages, mapped as they are compared (mime/collation.py), kept beside their postings (FORMAT.md,
"Search"): what may hold a string is compared with it without the message. No I/O.

Invariants
- A frame decides as the message would: it has all that SEARCH TEXT compares, and its marks stand in no string, since
  UTF-8 has neither octet. A message without a frame must be read.
- However far the frames of a run expand, one text at a time is in memory, and few are handed out to be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import zstandard

from .page import BadPage

TEXTS: Final = 7
HEADER: Final = b"MPP1" + bytes([TEXTS])
_HEADER_END: Final = b"\xff"
_PART_END: Final = b"\xfe"
_MOST: Final = 8 << 20  # octets of one text
_KEPT: Final = 64 << 10  # octets; a larger text is not kept in memory,
_KEPT_AT_ONCE: Final = 8 << 20  # nor are more than these of one run


def octets(text: str) -> bytes:
    """A text or string that is mapped."""
    return text.encode("utf-8", "surrogatepass")


def frame(header: str, bodies: Iterable[str]) -> bytes | None:
    """The texts of one message; None where they are too long."""
    pieces = [octets(header), _HEADER_END]
    for body in bodies:
        pieces += octets(body), _PART_END
    if sum(map(len, pieces)) > _MOST:
        return None
    return zstandard.ZstdCompressor(1, write_checksum=True).compress(b"".join(pieces))


def joined(one: bytes, two: bytes) -> bytes:
    """The pages of two segments as one."""
    return one + two[len(HEADER) :]


def holding(texts: Iterable[bytes], string: bytes, *, headers: bool) -> list[bool]:
    """Which texts hold the string, in the message's own header too with `headers`."""
    if headers:
        return [string in text for text in texts]
    return [text.find(string, text.index(_HEADER_END)) >= 0 for text in texts]


def scores(frames: Iterable[bytes], score: Callable[[list[str]], int], *, headers: bool) -> list[int]:
    """What `score` gives for the texts of each frame. Raises BadPage."""
    unpack = zstandard.ZstdDecompressor().decompress
    try:
        return [score(_pieces(unpack(packed, max_output_size=_MOST), headers)) for packed in frames]
    except (zstandard.ZstdError, ValueError) as error:
        raise BadPage(str(error)) from error


def _pieces(text: bytes, headers: bool) -> list[str]:
    header, bodies = text.split(_HEADER_END, 1)
    pieces = [*([header] if headers else []), *bodies.split(_PART_END)]
    return [piece.decode("utf-8", "surrogatepass") for piece in pieces]


def compare(frames: Iterable[bytes], string: bytes, *, headers: bool) -> tuple[list[bool], list[bytes]]:
    """The same of frames; and texts to be kept, or b"" for one that is not. Raises BadPage."""
    found: list[bool] = []
    kept: list[bytes] = []
    left = _KEPT_AT_ONCE
    unpack = zstandard.ZstdDecompressor().decompress
    try:
        for packed in frames:
            if not 0 < zstandard.frame_content_size(packed) <= _MOST:
                raise BadPage("a text of more octets than are written")
            text = unpack(packed)
            found.append(text.find(string, 0 if headers else text.index(_HEADER_END)) >= 0)
            kept.append(text if len(text) <= min(_KEPT, left) else b"")
            left -= len(kept[-1])
    except (zstandard.ZstdError, ValueError) as error:
        raise BadPage(str(error)) from error
    return found, kept
