"""Scans remember headers, names and addresses of the messages before: what they find is what they would have found
without."""

from __future__ import annotations

import re
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mailpod.mime.corpus import MESSAGES
from tests.mailpod.mime.strategies import messages

from mailpod.mime import addresses, bodystructure, headers, partheader
from mailpod.mime.scan import Scan, scan

LINE_ENDS = {"CRLF": b"\r\n", "LF": b"\n"}


def without_memory(data: bytes) -> Scan:
    """Everything is too long to be remembered."""
    with (
        patch.object(partheader, "_SHORT", -1),
        patch.object(headers, "_LONG_NAME", -1),
        patch.object(headers, "_NAMES", headers._Names()),
        patch.object(addresses, "_SHORT", -1),
        patch.object(bodystructure, "_word", bodystructure.string),
    ):
        before = [each.cache_info() for each in (partheader._remembered, addresses._remembered)]
        found = scan(data)
        after = [each.cache_info() for each in (partheader._remembered, addresses._remembered)]
        assert before == after and not headers._NAMES
    return found


@pytest.mark.parametrize("ends", LINE_ENDS)
def test_every_odd_message(ends: str) -> None:
    for path in MESSAGES:
        data = re.sub(rb"\r?\n", LINE_ENDS[ends], path.read_bytes())
        assert [scan(data), scan(data)] == [without_memory(data)] * 2, path.name


@settings(max_examples=300, deadline=None)
@given(messages, st.lists(messages, max_size=2))
def test_any_bytes_after_any_others(data: bytes, before: list[bytes]) -> None:
    for each in (data, *before):
        scan(each)
    assert scan(data) == without_memory(data)


def test_a_header_means_something_else_in_a_digest() -> None:
    for kind, expected in (b"mixed", b'("text" "plain"'), (b"digest", b'("message" "rfc822"'), (b"mixed", b'("text"'):
        found = scan(b"Content-Type: multipart/%b; boundary=b\r\n\r\n--b\r\nX: y\r\n\r\nz\r\n--b--\r\n" % kind)
        assert found.bodystructure.startswith(b"(" + expected)


def test_a_header_whose_type_promises_parts_beyond_the_limit_has_none() -> None:
    """The same header, as a part of a multipart and where no more parts are told."""
    inner = b"Content-Type: message/rfc822\r\n\r\n"
    found = scan(inner * 101 + b"\r\nx")
    assert found.bodystructure.count(b'"message" "rfc822"') == 99
    assert found.bodystructure.count(b'"application" "octet-stream"') == 1
    assert scan(inner + b"\r\nx").bodystructure.startswith(b'("message" "rfc822"')


def test_so_many_names_are_remembered_and_no_long_one() -> None:
    with patch.object(headers, "_NAMES", headers._Names()), patch.object(headers, "_REMEMBERED", 3):
        for name in (b"A", b"B", b"C", b"x" * 64):
            scan(name + b": y\r\n\r\n")
        assert sorted(headers._NAMES) == [b"A", b"B", b"C"]
        scan(b"D: y\r\n\r\n")
        assert sorted(headers._NAMES) == [b"D"]
