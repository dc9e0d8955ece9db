"""DEFLATE as a layer: any pieces in, the same octets out, and no more at once than asked for."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.net.deflate import Broken, Deflate


def unpacked(deflate: Deflate, most: int = 1000) -> bytes:
    out = []
    while deflate.waiting:
        out.append(deflate.unpack(most))
        assert len(out[-1]) <= most
    return b"".join(out)


@given(st.lists(st.lists(st.binary(max_size=3000))), st.integers(1, 4000))
def test_both_ways(writes: list[list[bytes]], most: int) -> None:
    ours, theirs = Deflate(), Deflate()
    for pieces in writes:
        theirs.feed(ours.pack(pieces))
        assert unpacked(theirs, most) == b"".join(pieces), "each write can be read at once"


def test_a_small_piece_stays_small() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflate, count = Deflate(), 0
    deflate.feed(packer.compress(bytes(10**7)) + packer.flush(zlib.Z_SYNC_FLUSH))
    while deflate.waiting:
        count += len(deflate.unpack(1000))
    assert count == 10**7


@given(st.binary(max_size=200))
def test_anything(octets: bytes) -> None:
    deflate = Deflate()
    deflate.feed(octets)
    try:
        unpacked(deflate)
    except Broken:
        return


def test_the_end_of_a_stream_is_the_end() -> None:
    packer = zlib.compressobj(wbits=-15)
    deflate = Deflate()
    deflate.feed(packer.compress(b"a") + packer.flush())
    with pytest.raises(Broken):
        deflate.unpack(10)
