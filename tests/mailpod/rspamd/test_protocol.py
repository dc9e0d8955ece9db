"""rspamd's answers as values, and that nothing in one forges a field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.rspamd.protocol import BadAnswer, parse_answer, request_headers


def answer(action: str = "no action", **more: Any) -> bytes:
    return json.dumps({"action": action, "score": 1.5, **more}).encode()


@pytest.mark.parametrize(
    ("action", "meaning"),
    [
        ("no action", "accept"),
        ("greylist", "defer"),
        ("soft reject", "defer"),
        ("add header", "junk"),
        ("rewrite subject", "junk"),
        ("reject", "reject"),
    ],
)
def test_actions(action: str, meaning: str) -> None:
    assert parse_answer(answer(action, required_score=15, symbols={})).action == meaning


def test_fields_in_each_of_their_forms() -> None:
    added = {"X-Spam": "Yes", "X-Score": {"value": "7.5 / 15", "order": 1}, "X-Rule": ["A", {"value": "B"}]}
    opinion = parse_answer(answer(milter={"add_headers": added}, messages={"smtp_message": "Go away\r\n250 OK"}))
    assert opinion.fields == b"X-Spam: Yes\r\nX-Score: 7.5 / 15\r\nX-Rule: A\r\nX-Rule: B\r\n"
    assert opinion.message == "Go away 250 OK"


def test_nothing_is_forged() -> None:
    added = {"X-A": "x\r\n\r\nFrom: ceo", "X: B": "y", "": "z", "X-C": 5, "X-D": None, "X-É": "x", "X-E": "x" * 5000}
    opinion = parse_answer(answer(milter={"add_headers": added}))
    assert opinion.fields == b"X-A: x From: ceo\r\nX-E: " + b"x" * 900 + b"\r\n"


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b'{"action": "dance"}', b'{"action": 5}', b"[" * 100_000])
def test_what_is_no_answer(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        parse_answer(data)


@given(
    st.binary(max_size=200) | st.recursive(st.none() | st.text(max_size=9), st.lists).map(lambda x: answer(milter=x))
)
def test_anything(data: bytes) -> None:
    try:
        opinion = parse_answer(data)
    except BadAnswer:
        return
    assert b"\n" not in opinion.fields.replace(b"\r\n", b"")


def test_what_a_client_says_is_one_header() -> None:
    headers = request_headers(
        client="192.0.2.1", helo="x\ty", sender="", recipients=["a@x", "b@x"], queue_id="1", server="mx"
    )
    assert headers == [
        ("IP", "192.0.2.1"), ("Helo", "x y"), ("Queue-Id", "1"), ("MTA-Name", "mx"), ("Rcpt", "a@x"), ("Rcpt", "b@x")
    ]  # fmt: skip
