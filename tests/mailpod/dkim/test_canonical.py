"""The canonical forms of RFC 6376 §3.4, beside dkimpy's."""

from __future__ import annotations

import time

import pytest
from dkim.canonicalization import Relaxed, Simple
from hypothesis import given
from hypothesis import strategies as st

from mailpod.dkim.canonical import relaxed_body, relaxed_field, simple_body, simple_field

ODD = st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b"\r", b"\n", b"\0", b"a", b":", b"\xc3"]), max_size=40).map(
    b"".join
)


def test_the_example_of_the_rfc() -> None:
    """RFC 6376 §3.4.5."""
    fields = [b"A: X", b"B : Y\t\r\n\tZ  "]
    assert b"".join(map(relaxed_field, fields)) == b"a:X\r\nb:Y Z\r\n"
    assert b"".join(map(simple_field, fields)) == b"A: X\r\nB : Y\t\r\n\tZ  \r\n"
    body = b" C \r\nD \t E\r\n\r\n\r\n"
    assert relaxed_body(body) == b" C\r\nD E\r\n"
    assert simple_body(body) == b" C \r\nD \t E\r\n"


@pytest.mark.parametrize(
    ("body", "simple", "relaxed"),
    [
        (b"", b"\r\n", b""),
        (b"\r\n\r\n", b"\r\n", b""),
        (b" \r\n\t\r\n", b" \r\n\t\r\n", b""),
        (b"a", b"a\r\n", b"a\r\n"),
        (b"a\r\r\n\r\n", b"a\r\r\n", b"a\r\r\n"),
        (b"a\n\r\n", b"a\n\r\n", b"a\n\r\n"),
    ],
)
def test_ends(body: bytes, simple: bytes, relaxed: bytes) -> None:
    assert (simple_body(body), relaxed_body(body)) == (simple, relaxed)


@given(ODD)
def test_bodies_as_dkimpy(text: bytes) -> None:
    body = text + b"\r\n"
    assert relaxed_body(body) == Relaxed.canonicalize_body(body)
    assert simple_body(body) == Simple.canonicalize_body(body)


@given(ODD)
def test_fields_as_dkimpy(value: bytes) -> None:
    ((name, relaxed),) = Relaxed.canonicalize_headers([(b"Subject \t", value)])
    assert relaxed_field(b"Subject \t:" + value) == name + b":" + relaxed


@pytest.mark.parametrize("text", [b" ", b"\t", b" \r\n", b"\r\n", b"\r\r\n", b" \r"])
def test_nobody_can_make_it_slow(text: bytes) -> None:
    body = text * (4 * 2**20 // len(text)) + b"x\r\n"
    began = time.process_time()
    relaxed_body(body)
    simple_body(body[::-1])
    assert time.process_time() - began < 2
