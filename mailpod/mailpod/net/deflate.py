"""Raw DEFLATE in both directions of a connection (RFC 1951, as RFC 4978 uses it). No I/O.

Invariants: what is packed can be unpacked by the peer at once (RFC 4978 §4: flushed with each piece); unpacking gives
no more than it is asked for, so a small piece of input cannot become a large one in memory. About 110 KiB a connection.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Final

_LEVEL: Final = 1  # mail shrinks by half; higher levels take three times as long for a tenth more
_WINDOW: Final = -13  # of ours, 8 KiB; the peer may use all of DEFLATE's 32
_PEERS_WINDOW: Final = -15
_MEMORY: Final = 6


class Broken(Exception):
    """What came is no DEFLATE, or the stream was ended."""


class Deflate:
    """The state of one connection."""

    __slots__ = ("_full", "_packed", "_packer", "_unpacker")

    def __init__(self) -> None:
        self._packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY)
        self._unpacker = zlib.decompressobj(_PEERS_WINDOW)
        self._packed = b""
        self._full = False

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
        """At most so many octets of what was fed. Raises Broken."""
        try:
            out = self._unpacker.decompress(self._packed, most)
        except zlib.error as error:
            raise Broken from error
        if self._unpacker.eof:
            raise Broken
        self._packed, self._full = self._unpacker.unconsumed_tail, len(out) == most
        return out
