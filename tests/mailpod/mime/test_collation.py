"""RFC 5051, and what SORT takes from an envelope."""

from __future__ import annotations

import random
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.mime.grammar import read
from tests.mailpod.mime.strategies import messages

from mailpod.mime.collation import casemap
from mailpod.mime.envelopes import Address, Heads, heads, subject_of
from mailpod.mime.folding import fold
from mailpod.mime.scan import scan


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("hello", "HELLO"),
        ("é", "E\u0301"),
        ("ǆ", "Ǆ"),
        ("ⅳ", "IV"),
        ("Å", "\u212b"),
        ("ς", "Σ"),
    ],
)
def test_the_same(one: str, same: str) -> None:
    assert casemap(one) == casemap(same)


def test_the_order_and_what_differs() -> None:
    assert casemap("straße") != casemap("strasse")  # RFC 5051 §2: ß has no simple titlecase mapping
    assert sorted(["z", "Á", "b", "A"], key=casemap) == ["A", "Á", "b", "z"]
    assert casemap("ﬁ") == "fi"  # the titlecase mapping comes before the decomposition
    assert casemap("가") == "가"  # Hangul syllables have no Decomposition property


def prepared(character: str) -> str:
    """RFC 5051 §2 (2), step by step."""
    title = character.title()
    made = title if len(title) == 1 else character
    while True:
        pieces = [unicodedata.decomposition(each).split() for each in made]
        if not any(pieces):
            return made
        made = "".join(
            "".join(chr(int(code, 16)) for code in piece if code[0] != "<") if piece else each
            for each, piece in zip(made, pieces, strict=True)
        )


EVERY = "".join(map(chr, range(sys.maxunicode + 1)))
SPECIAL = [
    each
    for each in EVERY
    if unicodedata.decomposition(each) or unicodedata.combining(each) or each.title() != each or each.casefold() != each
]


def test_every_code_point_alone_and_between_others() -> None:
    expected = {each: prepared(each) for each in SPECIAL}
    assert casemap(EVERY) == EVERY.translate(str.maketrans(expected))
    assert [casemap(each) for each in SPECIAL] == list(expected.values())
    for order in (SPECIAL[::-1], random.Random(1).sample(SPECIAL, len(SPECIAL))):
        assert casemap("".join(order)) == "".join(map(expected.__getitem__, order))


def test_the_example_of_the_text() -> None:
    assert casemap("\u01c4") == "Dz\u030c"  # RFC 5051 §2 (2)(b)


def test_folding_puts_no_white_space_into_a_word() -> None:
    """What postings have of a folded word is what FUZZY reads in a text."""
    for mapped in map(casemap, SPECIAL):
        assert fold(mapped).split() == [fold(word) for word in mapped.split()]


@given(st.text(), st.text())
def test_any_text(one: str, two: str) -> None:
    """What is in a text is in its map."""
    assert casemap(one + two) == casemap(one) + casemap(two)
    assert casemap(one) == "".join(map(prepared, one))


@given(messages)
def test_any_envelope(message: bytes) -> None:
    envelope = scan(message).envelope
    fields = read(envelope)

    def first(at: int) -> Address | None:
        return Address(fields[at][0][0], fields[at][0][2], fields[at][0][3]) if fields[at] else None

    assert subject_of(envelope) == fields[1]
    assert heads(envelope) == Heads(fields[1], first(2), first(5), first(6))
