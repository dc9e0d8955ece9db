"""Texts beside postings: a frame says what the texts themselves would say."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.store import Location, StoreSettings
from mailpod.store.comparing import Comparing
from mailpod.store.memory import MemoryObjects
from mailpod.store.page import BadPage
from mailpod.store.texts import HEADER, compare, frame, holding, octets

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


class Bucket(MemoryObjects):
    """`read_ahead` says whether it is far away."""

    def __init__(self, read_ahead: int) -> None:
        super().__init__()
        self.read_ahead = read_ahead


@pytest.mark.parametrize("read_ahead", [1, 16])
async def test_pages_are_read_once(read_ahead: int) -> None:
    rng = random.Random(5)
    objects, page, places, letters = Bucket(read_ahead), HEADER, [], []
    for uid in range(1, 201):
        letters.append(rng.randbytes(2000).hex())
        packed = frame("", [letters[-1]])
        assert packed is not None
        places.append(Location("page", len(page), len(packed), b"", uid))
        page += packed
    await objects.create("page", [page])
    comparing = Comparing(objects, StoreSettings(read_gap_bytes=1000))
    for wanted in ("00", "ab1", "ff3e", letters[17][100:130]):
        holding_it = [uid for uid, text in enumerate(letters, 1) if wanted in text]
        assert sorted(await comparing.holding(places, wanted, headers=False)) == holding_it
    assert comparing.octets <= len(page)
    some = Comparing(objects, StoreSettings(read_gap_bytes=1000))
    assert await some.holding(places[100:101], letters[100][:50], headers=False) == [101]
    assert await some.holding(places[103:104], letters[103][:50], headers=False) == [104]
    assert some.octets <= (places[100].length + places[103].length if read_ahead == 1 else 256 << 10)
