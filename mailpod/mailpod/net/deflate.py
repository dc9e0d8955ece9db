"""Raw DEFLATE in both directions of a connection (RFC 1951, as RFC 4978 uses it). No I/O.

Invariants: what is packed can be unpacked by the peer at once (RFC 4978 §4: flushed with each piece); unpacking gives
no more than it is asked for, so a small piece of input cannot become a large one in memory, and nothing from behind a
flush, for that may be no DEFLATE any more (RFC 8437 §4.1). About 110 KiB a connection.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Final

_LEVEL: Final = 1  # mail shrinks by half; higher levels take three times as long for a tenth more
_WINDOW: Final = -13  # of ours, 8 KiB; the peer may use all of DEFLATE's 32
_PEERS_WINDOW: Final = -15
_MEMORY: Final = 6
_FLUSHED: Final = b"\x00\x00\xff\xff"  # how each flush ends, at a whole octet
_PIECE: Final = 16 * 1024  # octets of the peer's that are looked at in a row
_REMAINDER: Final = 8  # octets of a flush may come behind what it gives


class Broken(Exception):
    """What came is no DEFLATE, or the stream was ended."""


class Deflate:
    """The state of one connection."""

    __slots__ = ("_before", "_full", "_packed", "_packer", "_remainder", "_unpacker")

    def __init__(self) -> None:
        self._packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY)
        self._unpacker = zlib.decompressobj(_PEERS_WINDOW)
        self._packed = bytearray()
        self._full = False
        self._before = b""  # the last octets that were unpacked; none right behind a flush
        self._remainder = b""  # what `leave` took for the rest of a flush

    @property
    def waiting(self) -> bool:
        """Whether `unpack` has more to give."""
        return self._full or bool(self._packed)

    def pack(self, pieces: Iterable[bytes | bytearray | memoryview]) -> bytes:
        out = [self._packer.compress(piece) for piece in pieces]
        out.append(self._packer.flush(zlib.Z_SYNC_FLUSH))
        return b"".join(out)

    def feed(self, packed: bytes | bytearray | memoryview) -> None:
        """What the peer sent."""
        self._packed += packed

    def unpack(self, most: int) -> bytes:
        """At most so many octets of what was fed, and none from behind a flush. Raises Broken."""
        if self._unpacker.eof:
            raise Broken
        piece, flush = self._piece()
        try:
            out = self._unpacker.decompress(piece, most)
        except zlib.error as error:
            raise Broken from error
        used = len(piece) - len(self._unpacker.unconsumed_tail or self._unpacker.unused_data)
        ended = self._unpacker.eof or (flush and used == len(piece))
        self._before = b"" if ended else (self._before + piece[:used])[-len(_FLUSHED) + 1 :]
        self._full = len(out) == most and not self._unpacker.eof
        del self._packed[:used]
        return out

    def leave(self) -> bytes | None:
        """The peer compresses no more: what came behind its last flush; None as long as that flush is not whole."""
        while self._before and not self._unpacker.eof:
            if not self._packed:
                return None
            self._remainder += self._packed[:1]
            del self._packed[:1]
            if len(self._remainder) > _REMAINDER or not self._is_remainder():
                break
        else:
            return bytes(self._packed)
        return self._remainder + self._packed  # the peer did not flush by the book

    def _piece(self) -> tuple[bytes, bool]:
        """The next octets to unpack, and whether a flush ends there."""
        piece = bytes(memoryview(self._packed)[:_PIECE])
        found = (self._before + piece).find(_FLUSHED)
        if found < 0:
            return piece, False
        return piece[: found + len(_FLUSHED) - len(self._before)], True

    def _is_remainder(self) -> bool:
        """Whether the octet that `leave` took can belong to a flush."""
        octet = self._remainder[-1:]
        try:
            given = self._unpacker.decompress(octet)
        except zlib.error:
            return False
        before = self._before + octet
        self._before = b"" if before.endswith(_FLUSHED) else before[-len(_FLUSHED) + 1 :]
        return not given
