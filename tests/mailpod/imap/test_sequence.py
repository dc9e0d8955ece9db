"""Sequence sets against a view: RFC 3501 §9 sequence-set, §6.4.8."""

from __future__ import annotations

import time
from array import array
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.imap.sequence import BadSequence, existing, resolve, uids_of
from mailpod.imap.sets import merge, wire, without
from mailpod.imap.syntax import SequenceSet

Bound = int | None


def view(*uids: int) -> Any:
    """What sequence.py needs of one; what lies beyond `exists` was not told."""
    return SimpleNamespace(uids=array("I", [*uids, 4_000_000_000]), exists=len(uids), last_uid=uids[-1] if uids else 0)


def positions(parts: list[range]) -> list[int]:
    return [at for part in parts for at in part]


def test_numbers() -> None:
    three = view(10, 20, 30)
    assert positions(resolve(SequenceSet(((1, 2),)), three, False)) == [0, 1]
    assert positions(resolve(SequenceSet(((2, 1), (None, None), (2, 2))), three, False)) == [0, 1, 2]
    assert positions(resolve(SequenceSet(((None, 2),)), three, False)) == [1, 2]
    for outside in ((4, 4), (4, None), (1, 5), (0, 1)):
        with pytest.raises(BadSequence):
            resolve(SequenceSet((outside,)), three, False)


def test_numbers_that_exist() -> None:
    three = view(10, 20, 30)
    found = {(4, 4): [], (4, None): [2], (None, 9): [2], (1, 5): [0, 1, 2], (2, 2): [1], (None, 2): [1, 2]}
    for wanted, expected in found.items():
        assert positions(existing(SequenceSet((wanted,)), three)) == expected
        assert existing(SequenceSet((wanted,)), view()) == []


def test_uids() -> None:
    three = view(10, 20, 30)
    assert positions(resolve(SequenceSet(((1, 19), (30, 30))), three, True)) == [0, 2]
    assert positions(resolve(SequenceSet(((31, None),)), three, True)) == [2], "RFC 3501 §6.4.8"
    assert positions(resolve(SequenceSet(((31, 4_294_967_295),)), three, True)) == []
    assert list(uids_of(three, resolve(SequenceSet(((15, 4_294_967_295),)), three, True))) == [20, 30]


def test_an_empty_mailbox() -> None:
    assert resolve(SequenceSet(((1, None),)), view(), False) == []
    assert resolve(SequenceSet(((1, None), (None, None))), view(), True) == []
    with pytest.raises(BadSequence):
        resolve(SequenceSet(((1, 1),)), view(), False)


def test_a_wide_set_costs_no_more_than_a_narrow_one() -> None:
    many = view(*range(1, 100_000))
    everything = SequenceSet(((1, 4_294_967_295),) * 5000)
    started = time.process_time()
    assert resolve(everything, many, True) == [range(99_999)]
    assert time.process_time() - started < 1


bounds = st.none() | st.integers(1, 40)


@given(st.sets(st.integers(1, 40)), st.lists(st.tuples(bounds, bounds), min_size=1, max_size=6))
def test_uids_as_the_rfc_reads(told: set[int], ranges: list[tuple[Bound, Bound]]) -> None:
    uids = sorted(told)
    highest = uids[-1] if uids else 0
    wanted = set[int]()
    for first, last in ranges:
        low, high = sorted((highest if first is None else first, highest if last is None else last))
        wanted |= {uid for uid in uids if low <= uid <= high}
    parts = resolve(SequenceSet(tuple(ranges)), view(*uids), True)
    assert list(uids_of(view(*uids), parts)) == sorted(wanted)
    assert merge(parts) == parts


@given(st.lists(st.integers(1, 60)))
def test_wire_says_the_same_numbers_in_the_same_order(numbers: list[int]) -> None:
    said: list[int] = []
    for word in wire(numbers).split(b",") if numbers else []:
        first, _, last = word.partition(b":")
        assert not last or int(last) > int(first)
        said += range(int(first), int(last or first) + 1)
    assert said == numbers


@given(st.sets(st.integers(0, 30)), st.lists(st.tuples(st.integers(0, 25), st.integers(0, 9))))
def test_without(left_out: set[int], spans: list[tuple[int, int]]) -> None:
    parts = merge([range(start, start + length) for start, length in spans])
    kept = positions(without(parts, sorted(left_out)))
    assert kept == [at for at in positions(parts) if at not in left_out]
