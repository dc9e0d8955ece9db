"""Search postings: what they leave out does not hold the string, whatever the texts and however segments are joined."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.store.page import BadPage
from mailpod.store.postings import (
    Builder,
    Made,
    ascending,
    asked,
    at_once,
    gram_key,
    joined,
    read_block,
    read_terms,
    unpack_rows,
    words,
)

TEXTS = st.lists(st.one_of(st.none(), st.text("abc é", max_size=12), st.text(max_size=8)), max_size=30)


def segment(texts: list[str | None], first: int = 1) -> Made:
    builder = Builder()
    for uid, text in enumerate(texts, first):
        builder.add(uid, None if text is None else words(text))
    return at_once(builder.finish())


def candidates(pages: Made, string: str) -> set[int]:
    """UIDs that the segment leaves in."""
    terms = read_terms(pages[0])
    found = None if asked(string) else set(range(len(terms.uids)))
    for trigram in asked(string):
        block = terms.block_of(trigram)
        start, end = terms.place(block) if block >= 0 else (0, 0)
        rows = read_block(terms, block, pages[1][start:end]).get(trigram) if block >= 0 else None
        here = set(unpack_rows(rows)) if rows is not None else set()
        found = here if found is None else found & here
    return {terms.uids[row] for row in (found or set()) | set(terms.always)}


@given(st.sets(st.text("a\0é\u20ac\ud800\U0001f600", min_size=1, max_size=4)))
def test_trigrams_ascend_by_their_octets(found: set[str]) -> None:
    assert list(map(gram_key, ascending(found))) == sorted(map(gram_key, found))


@given(TEXTS, TEXTS, st.text("abc é", min_size=3, max_size=5))
def test_what_is_left_out_does_not_hold_the_string(one: list[str | None], two: list[str | None], string: str) -> None:
    both = at_once(joined(segment(one), segment(two, len(one) + 1)))
    texts = dict(enumerate([*one, *two], 1))
    holding = {uid for uid, text in texts.items() if text is None or string in text}
    found = candidates(both, string)
    assert holding <= found
    if len(string) == 3 and " " not in string:
        assert found == holding
    whole = segment([*one, *two])
    assert candidates(whole, string) == found
    assert list(read_terms(both[0]).uids) == list(texts)


def test_many_messages_become_bitmaps_and_blocks() -> None:
    texts: list[str | None] = [f"message number {at:05d} {at * 7919:x}" for at in range(3000)]
    pages = segment(texts)
    assert len(read_terms(pages[0]).firsts) > 1
    assert len(candidates(pages, "message number")) == 3000
    assert candidates(pages, " 02999 ") == {3000}
    assert candidates(pages, "nowhere") == set()


def test_a_damaged_block_is_seen() -> None:
    terms, postings, _ = segment(["some text"])
    read = read_terms(terms)
    start, end = read.place(0)
    with pytest.raises(BadPage):
        read_block(read, 0, postings[start : end - 1] + b"\xff")
    with pytest.raises(BadPage):
        read_terms(terms, b"x" * 16)


def test_a_long_string_asks_for_some_of_its_trigrams() -> None:
    assert asked("abcd") == [b"abc", b"bcd"]
    assert asked("a b cd\tef ") == [b" b ", b" cd", b"ef "]  # of white space only a blank at an end is told
    assert len(asked("".join(map(chr, range(0x400, 0x500))))) <= 12
