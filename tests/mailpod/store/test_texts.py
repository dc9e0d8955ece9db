"""Texts beside postings: a frame says what the texts themselves would say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.store.page import BadPage
from mailpod.store.texts import compare, frame, holding, octets

LETTERS = st.one_of(st.text("abé \0\ud800", max_size=8), st.text(max_size=8))


@given(LETTERS, st.lists(LETTERS, max_size=4), LETTERS.filter(bool))
def test_a_frame_answers_as_its_texts(header: str, bodies: list[str], string: str) -> None:
    packed = frame(header, bodies)
    assert packed is not None
    in_body, in_header = any(string in body for body in bodies), string in header
    for headers in (False, True):
        found, [text] = compare([packed], octets(string), headers=headers)
        assert found == [in_body or (headers and in_header)]
        assert holding([text], octets(string), headers=headers) == found


def test_one_that_expands_far_is_compared_and_not_kept() -> None:
    packed = frame("subject: x", ["a" * 1_000_000 + "b"])
    assert packed is not None
    assert len(packed) < 1000
    assert compare([packed], b"ab", headers=False) == ([True], [b""])
    assert frame("", ["a" * (9 << 20)]) is None


def test_a_damaged_one_is_seen() -> None:
    packed = frame("subject: x", ["some text"])
    assert packed is not None
    for broken in (packed[:-1] + b"\xff", packed[:-3], b"", b"x" * 40):
        with pytest.raises(BadPage):
            compare([broken], b"text", headers=False)
