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
    assert deflate.unpack(10) == b"a"
    with pytest.raises(Broken):
        deflate.unpack(10)


@given(
    st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=5),
    st.binary(min_size=9, max_size=50),
    st.sampled_from([zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_FINISH]),
    st.data(),
)
def test_what_comes_behind_the_last_flush_is_as_it_was(
    writes: list[bytes], plain: bytes, how: int, data: st.DataObject
) -> None:
    """However the octets arrive: unpacking ends where the peer flushed."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    flushes = [zlib.Z_SYNC_FLUSH] * (len(writes) - 1) + [how]
    packed = b"".join(
        packer.compress(write) + packer.flush(flush) for write, flush in zip(writes, flushes, strict=True)
    )
    sent, cut = packed + plain, data.draw(st.integers(0, len(packed) + len(plain)))
    deflate, out, after = Deflate(), b"", None
    for arrived in (sent[:cut], sent[cut:]):
        if after is not None:
            after += arrived
            continue
        deflate.feed(arrived)
        while deflate.waiting and out != b"".join(writes):
            out += deflate.unpack(64)
        if out == b"".join(writes):
            after = deflate.leave()
    assert out == b"".join(writes)
    assert after == plain


def test_without_a_flush_what_comes_is_taken_as_it_is() -> None:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    deflate = Deflate()
    deflate.feed(packer.compress(b"x UNAUTHENTICATE\r\n") + packer.flush(zlib.Z_PARTIAL_FLUSH))
    assert deflate.unpack(100) == b"x UNAUTHENTICATE\r\n"
    deflate.feed(b"y NOOP\r\nz NOOP\r\n")
    assert deflate.leave() == b"y NOOP\r\nz NOOP\r\n"
