"""RFC 5051, and what SORT takes from an envelope."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.mime.grammar import read
from tests.mailpod.mime.strategies import messages

from mailpod.mime.collation import casemap
from mailpod.mime.envelopes import Address, Heads, heads, subject_of
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


@given(st.text())
def test_any_text(text: str) -> None:
    assert casemap(text) == "".join(map(casemap, text))


@given(messages)
def test_any_envelope(message: bytes) -> None:
    envelope = scan(message).envelope
    fields = read(envelope)

    def first(at: int) -> Address | None:
        return Address(fields[at][0][0], fields[at][0][2], fields[at][0][3]) if fields[at] else None

    assert subject_of(envelope) == fields[1]
    assert heads(envelope) == Heads(fields[1], first(2), first(5), first(6))
