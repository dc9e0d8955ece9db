"""SASL mechanisms by value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.auth.sasl import MECHANISMS, Challenge, Credentials, SaslError, begin

words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=50)


@given(words, words)
def test_plain_gives_what_was_sent(name: str, password: str) -> None:
    found = begin("plain").start(f"\0{name}\0{password}".encode())
    assert isinstance(found, Credentials)
    assert (found.username, found.password) == (name, password)
    assert "password" not in repr(found)


@given(st.sampled_from(MECHANISMS), st.lists(st.binary(max_size=40), max_size=5))
def test_any_bytes_are_credentials_or_refused(mechanism: str, responses: list[bytes]) -> None:
    exchange = begin(mechanism)
    try:
        step = exchange.start(responses[0] if responses else None)
        for response in responses[1:]:
            if isinstance(step, Credentials):
                break
            step = exchange.next(response)
    except SaslError:
        return
    assert isinstance(step, Challenge | Credentials)


def test_plain_without_initial_response_asks_with_an_empty_challenge() -> None:
    exchange = begin("PLAIN")
    assert exchange.start(None) == Challenge(b"")
    assert exchange.next(b"\0ann\0pw") == Credentials("", "ann", "pw")


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"ann",
        b"\0ann",
        b"\0\0pw",
        b"\0ann\0",
        b"bob\0ann\0pw",
        b"\0ann\0p\0w",
        b"\0\xff\0pw",
        b"\0a\0" + b"x" * 1025,
    ],
)
def test_plain_refuses(response: bytes) -> None:
    with pytest.raises(SaslError):
        begin("PLAIN").start(response)


def test_plain_takes_the_users_own_name_as_authorization_identity() -> None:
    assert begin("PLAIN").start(b"Ann\0ann\0pw") == Credentials("Ann", "ann", "pw")


def test_login() -> None:
    exchange = begin("LOGIN")
    assert exchange.start(None) == Challenge(b"Username:")
    assert exchange.next(b"ann") == Challenge(b"Password:")
    assert exchange.next(b"pw") == Credentials("", "ann", "pw")
    exchange = begin("LOGIN")
    assert exchange.start(b"ann") == Challenge(b"Password:")


def test_what_is_not_offered() -> None:
    with pytest.raises(SaslError):
        begin("CRAM-MD5")
