"""Passwords with more than ASCII, as several systems write them (RFC 8265 §4.2)."""

from __future__ import annotations

import argon2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailoperator.passwordhash import Hasher
from mailpod.auth.verifier import Verifier
from mailpod.clock import SystemClock
from mailpod.opaque import opaque_string

COMPOSED, DECOMPOSED = "caf\u00e9 \u00c5", "cafe\u0301\u00a0A\u030a"


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("plain ASCII", "plain ASCII"),
        (DECOMPOSED, COMPOSED),
        ("\u212b", "\u00c5"),  # RFC 8264 §5.2.4: the angstrom sign
        ("a\u2003b\u3000c", "a b c"),
        ("\u00c9", "\u00c9"),  # case stays
        ("\uff21", "\uff21"),  # width too
    ],
)
def test_forms(written: str, compared: str) -> None:
    assert opaque_string(written) == compared


@given(st.text())
def test_the_form_of_a_form_is_itself(text: str) -> None:
    assert opaque_string(opaque_string(text)) == opaque_string(text)


async def test_a_password_is_the_same_from_every_keyboard() -> None:
    """Set in one form, typed in another; and a person's own hash is of the bytes that the person hashed."""

    async def none() -> tuple[str, ...]:
        return ()

    hasher, verifier = Hasher(b"k" * 32), Verifier(SystemClock(), threads=1, queue=9, entries=9, seconds=9)
    own = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(DECOMPOSED)
    try:
        published = [await hasher.verifier("uid", written, none) for written in (COMPOSED, DECOMPOSED)]
        assert published[0] == published[1] and hasher.hashed == 1
        for typed in (COMPOSED, DECOMPOSED):
            assert await verifier.verify([published[0]], typed)
        assert await verifier.verify([own], DECOMPOSED)
        assert not await verifier.verify([published[0]], "cafe A")
        assert not await verifier.verify([own], COMPOSED)
        assert not await verifier.verify([], COMPOSED)
    finally:
        hasher.close()
        verifier.close()
