"""Blocks as commits and packs list them: what was written is found, and nothing else is taken for it."""

from __future__ import annotations

import json
import struct

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from mailpod.checksum import checksum
from mailpod.store import Location
from mailpod.store.blocks import LINE_BYTES, check, find_blocks, listed, pack_line, parts

LETTERS = st.lists(st.binary(max_size=300) | st.sampled_from([b"x" * 40_000, b"y" * 100_000]), max_size=30)


def _placed(letters: list[bytes], start: int) -> list[Location]:
    out = []
    for letter in letters:
        out.append(Location("pack/1", start, len(letter), checksum(letter)))
        start += len(letter)
    return out


@given(LETTERS, st.integers(0, 30))
def test_a_pack_says_where_its_blocks_are_and_each_check_fits(letters: list[bytes], missing: int) -> None:
    line = pack_line([checksum(letter) for letter in letters], letters)
    data = b"".join((line, *letters))
    blocks = find_blocks(data[:LINE_BYTES], len(data))
    if len(letters) < 2:
        assert line == b"" and blocks is None
        return
    assert blocks is not None and blocks.bounds[-1] == len(data) and blocks.bounds[0] == len(line)
    run = [at for at in _placed(letters, len(line)) if at.length]
    found = parts(run, blocks, 1 << 20)
    assert [at for part in found for at in part.places] == run
    for part in found:
        first, end = part.places[0].offset, part.places[-1].offset + part.places[-1].length
        sums, lengths = [at.checksum for at in part.places], [at.length for at in part.places]
        fits = part.check == check(sums, lengths, data[first:end])
        assert fits or not all(letters)  # an empty message at a block's end is not in the run
    some = run[:missing] + run[missing + 1 :]
    found = parts(some, blocks, 1 << 20)
    assert [at for part in found for at in part.places] == some
    assert all(part.places[0].offset in blocks.bounds for part in found if part.check)


@given(st.binary(max_size=200), st.lists(st.integers(0, 1 << 70), max_size=3), st.binary(max_size=40))
def test_what_is_no_list_of_blocks_is_none(before: bytes, octets: list[int], checks: bytes) -> None:
    line = before + json.dumps({"blocks": octets, "checks": checks.hex()}, separators=(",", ":")).encode()
    for head in (before, line):
        blocks = find_blocks(head, 1 << 40)
        assert blocks is None or (blocks.bounds[-1] == 1 << 40 and len(blocks.checks) == 16 * len(blocks.bounds) - 16)


def test_blocks_are_few_enough_to_be_found() -> None:
    letters = [b"x" * 100] * 700_000
    found = listed([bytes(16)] * len(letters), letters)
    assert found is not None and len(found.blocks) <= 1001
    assert 0 < len(pack_line([bytes(16)] * len(letters), letters)) <= LINE_BYTES


def test_parts_are_bounded() -> None:
    run = _placed([b"x" * 100] * 10 + [b"x" * 5000] + [b"x" * 100] * 10, 0)
    assert [len(part.places) for part in parts(run, None, 400)] == [4, 4, 2, 1, 4, 4, 2]
    whole = find_blocks(pack_line([at.checksum for at in run], [b"x" * at.length for at in run]), 7000)
    assert [len(part.places) for part in parts(run, whole, 400)] == [4, 4, 2, 1, 4, 4, 2]


@pytest.mark.parametrize("octets", [0, 1, 1000, 300_000, 200, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 10])
def test_a_check_is_what_the_format_says(octets: int) -> None:
    data, sums = b"x" * octets, [b"a" * 16, b"b" * 16]
    expected = AESGCM(bytes(16)).encrypt(bytes(12), data, b"".join(sums) + struct.pack("<2I", octets, 0))[-16:]
    assert check(sums, [octets, 0], data) == check(sums, [octets, 0], memoryview(data)) == expected
