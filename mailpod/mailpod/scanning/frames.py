"""What the pod and its scanner say to each other over a socket: msgpack behind its length. Sans-IO.

The scanner begins with READY. A frame to it says where messages lie in the memory that both see; its answer, in the
same order, is what it found: a Found a message, or none of those that were withdrawn before it came to them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mailpod.scanning.found import Found

LENGTH_BYTES: Final = 4


class Slice(msgspec.Struct, frozen=True, array_like=True):
    """Messages that lie one after the other, behind the octet at `start` (ring.py)."""

    start: int
    lengths: list[int]


def framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


def length(head: bytes | bytearray) -> int:
    """Of the payload that follows."""
    return int.from_bytes(head[:LENGTH_BYTES], "big")


READY: Final = framed(b"")
encode: Final = msgspec.msgpack.Encoder().encode
decode_slice: Final = msgspec.msgpack.Decoder(Slice).decode
decode_found: Final = msgspec.msgpack.Decoder(list[Found]).decode
