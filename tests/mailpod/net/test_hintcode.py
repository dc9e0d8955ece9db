from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.net.hintcode import (
    MAX_BYTES,
    MAX_PREFIX,
    BadDatagram,
    Hint,
    decode,
    encode,
    format_keys,
    parse_keys,
)

KEY, OTHER = bytes(range(32)), bytes(32)
SENDER = b"12345678"
PREFIXES = st.text(min_size=1, max_size=MAX_PREFIX // 4)
HINTS = st.lists(st.builds(Hint, PREFIXES, st.integers(0, 2**64 - 1)), max_size=60)


@given(HINTS)
def test_what_is_sent_is_what_is_read(hints: list[Hint]) -> None:
    data = encode(SENDER, hints, KEY)
    assert max(map(len, data)) <= MAX_BYTES
    found = [decode(each, [OTHER, KEY]) for each in data]
    assert [hint for each in found for hint in each.hints] == hints
    assert {each.sender for each in found} == {SENDER}


def test_no_hints_are_one_datagram_and_a_long_prefix_is_left_out() -> None:
    (data,) = encode(SENDER, [], KEY)
    assert decode(data, [KEY]).hints == ()
    (data,) = encode(SENDER, [Hint("é" * MAX_PREFIX, 1), Hint("a", 2)], KEY)
    assert decode(data, [KEY]).hints == (Hint("a", 2),)


def test_unknown_and_missing_keys_are_refused() -> None:
    (data,) = encode(SENDER, [Hint("a", 1)], KEY)
    for keys in ([], [OTHER]):
        with pytest.raises(BadDatagram):
            decode(data, keys)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_one_changed_octet_is_refused(at: int, change: int) -> None:
    (data,) = encode(SENDER, [Hint("accounts/x.test/alice/00/", 7)], KEY)
    forged = bytearray(data)
    forged[at % len(data)] ^= change
    with pytest.raises(BadDatagram):
        decode(bytes(forged), [KEY])


@given(st.binary(max_size=MAX_BYTES + 10))
def test_any_bytes_are_refused_and_nothing_else_happens(data: bytes) -> None:
    with pytest.raises(BadDatagram):
        decode(data, [KEY])
    with pytest.raises(BadDatagram):
        decode(b"MH1" + data, [KEY])


@given(st.lists(st.tuples(st.integers(0, 2**33), st.binary(min_size=32, max_size=32)), unique=True))
def test_key_files(keys: list[tuple[int, bytes]]) -> None:
    assert parse_keys(format_keys(keys)) == sorted(keys)


@pytest.mark.parametrize("text", ["1", "1 00", "x " + "00" * 32, "1 " + "0" * 63, "1 2 3"])
def test_bad_key_files_are_said(text: str) -> None:
    with pytest.raises(ValueError):
        parse_keys(text)
