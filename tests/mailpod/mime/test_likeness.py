from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.mime.collation import casemap
from mailpod.mime.folding import fold
from mailpod.mime.likeness import Likeness, distance


def like(string: str, *texts: str) -> int:
    return Likeness(string).of(map(casemap, texts))


@pytest.mark.parametrize(
    ("string", "text"),
    [
        ("Helo", "Hello world"),
        ("hallo", "Hello"),
        ("freind", "my best friend"),
        ("meetings", "the meeting is moved"),
        ("meet", "the meetings"),
        ("cafe", "Caf\u00e9 au lait"),
        ("\u00fcber", "uber"),
        ("IMAP break", "IMAP is broken; breaks"),
        ("breaks IMAP", "IMAP, break!"),
        ("recieved", "(received)"),
        ("quartrely", "quarterly numbers"),
        ("book", "a notebook"),
    ],
)
def test_what_is_like(string: str, text: str) -> None:
    assert 1 <= like(string, text) <= 95


@pytest.mark.parametrize(
    ("string", "text"),
    [
        ("cat", "dog"),
        ("cat", "cut"),  # three letters have no letter to spare
        ("hello", "help wanted"),
        ("hello there", "hello"),  # every word counts
        ("meeting", ""),
        ("", "anything"),
        ("!?", "!?"),  # no word
        ("responsible", "response"),
    ],
)
def test_what_is_not(string: str, text: str) -> None:
    assert not like(string, text)


def test_the_nearer_the_more() -> None:
    nearer = ["meeting", "meetings", "meetin", "metting"]
    scores = [like("meeting", text) for text in nearer]
    assert all(one > two for one, two in pairwise(scores)), scores
    assert like("two words", "words", "two") == 95, "of all texts together"


def test_distance() -> None:
    for one, two, apart in (("ab", "ab", 0), ("ab", "ba", 1), ("abc", "ac", 1), ("abc", "adc", 1), ("abcd", "xbcy", 2)):
        assert distance(one, two, 2) == distance(two, one, 2) == apart
    assert distance("kitten", "sitting", 2) > 2


@given(st.text(st.sampled_from("abc"), max_size=6), st.text(st.sampled_from("abc"), max_size=6))
def test_distance_is_exact_up_to_the_most(one: str, two: str) -> None:
    apart = distance(one, two, 9)
    assert apart == distance(two, one, 9)
    assert (apart == 0) is (one == two)
    assert abs(len(one) - len(two)) <= apart <= max(len(one), len(two))
    for most in range(4):
        assert distance(one, two, most) == apart if apart <= most else distance(one, two, most) > most


@given(st.text(max_size=30), st.lists(st.text(max_size=60), max_size=3))
def test_any_string_and_texts(string: str, texts: list[str]) -> None:
    likeness = Likeness(string)
    mapped = [casemap(text) for text in texts]
    score = likeness.of(mapped)
    assert 0 <= score <= 95
    if score:  # what postings rule out is not like
        whole = f" {' '.join(word for text in mapped for word in fold(text).split())} "
        assert all(sum(gram in whole for gram in word.grams) >= word.needed for word in likeness.words)
