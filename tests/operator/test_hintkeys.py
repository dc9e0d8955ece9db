"""The pods' hint key: made once, rotated with two valid, and read by the pods."""

from __future__ import annotations

from mailoperator import hintkeys
from mailpod.net.hintcode import parse_keys

DAY = 86_400


def test_made_once_and_rotated_with_two_valid() -> None:
    first = hintkeys.current(None, 1000.5)
    assert hintkeys.current(first, 1000 + 29 * DAY) == first
    second = hintkeys.current(first, 1000 + 30 * DAY)
    assert second.startswith(first)
    third = hintkeys.current(second, 1000 + 61 * DAY)
    assert [made for made, _ in parse_keys(third.decode())] == [1000 + 30 * DAY, 1000 + 61 * DAY]


def test_what_cannot_be_read_is_made_anew() -> None:
    for damaged in (b"", b"\xff", b"1", b"1 2", b"1 " + b"0" * 62):
        assert len(parse_keys(hintkeys.current(damaged, 5).decode())) == 1
