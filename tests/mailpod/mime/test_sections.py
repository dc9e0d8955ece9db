"""BODY[section]: the tree of RFC 3501 §6.4.5, headers cut by name, and BODY from BODYSTRUCTURE."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mailpod.mime.strategies import messages

from mailpod.mime.headers import field_name, split_lines
from mailpod.mime.scan import scan
from mailpod.mime.sections import What, body_from_bodystructure, header_fields, locate


def multipart(subtype: bytes, boundary: bytes, *parts: bytes) -> bytes:
    """A multipart entity: its header and the parts between boundaries."""
    head = b"Content-Type: multipart/%b; boundary=%b\r\n\r\n" % (subtype, boundary)
    return head + b"".join(b"--%b\r\n%b\r\n" % (boundary, part) for part in parts) + b"--%b--\r\n" % boundary


PLAIN = b"Content-Type: text/plain\r\n\r\n"
OCTETS = b"Content-Type: application/octet-stream\r\n\r\n"
FORWARD = b"Content-Type: message/rfc822\r\n\r\n"
INNER_3 = b"Subject: three\r\n" + multipart(b"mixed", b"i3", PLAIN + b"3.1", OCTETS + b"3.2")
ALTERNATIVE = multipart(b"alternative", b"a", PLAIN + b"4.2.2.1", b"Content-Type: text/richtext\r\n\r\n4.2.2.2")
INNER_42 = b"Subject: four two\r\n" + multipart(b"mixed", b"i42", PLAIN + b"4.2.1", ALTERNATIVE)
PART_4 = multipart(b"mixed", b"p4", b"Content-Type: image/gif\r\n\r\n4.1", FORWARD + INNER_42)
TREE = b"Subject: all\r\n" + multipart(b"mixed", b"top", PLAIN + b"1", OCTETS + b"2", FORWARD + INNER_3, PART_4)
"""The message of RFC 3501 §6.4.5, each leaf's body its own part number."""


def section(data: bytes, path: str, what: What = "") -> bytes | None:
    found = scan(data)
    numbers = tuple(int(number) for number in path.split(".") if number)
    place = locate(found.parts, len(data), found.header_size, numbers, what)
    return None if place is None else data[place[0] : place[1]]


@pytest.mark.parametrize("path", ["1", "2", "3.1", "3.2", "4.1", "4.2.1", "4.2.2.1", "4.2.2.2"])
def test_each_leaf_of_the_rfc_tree_by_its_number(path: str) -> None:
    assert section(TREE, path) == path.encode()


def test_headers_and_texts_of_the_rfc_tree() -> None:
    top, _, body = TREE.partition(b"\r\n\r\n")
    assert section(TREE, "") == TREE
    assert section(TREE, "", "HEADER") == top + b"\r\n\r\n"
    assert section(TREE, "", "TEXT") == body
    head_3, _, text_3 = INNER_3.partition(b"\r\n\r\n")
    assert section(TREE, "3") == INNER_3
    assert section(TREE, "3", "HEADER") == head_3 + b"\r\n\r\n"
    assert section(TREE, "3", "TEXT") == text_3
    assert section(TREE, "3", "MIME") == FORWARD
    assert section(TREE, "4.1", "MIME") == b"Content-Type: image/gif\r\n\r\n"
    head_42, _, text_42 = INNER_42.partition(b"\r\n\r\n")
    assert section(TREE, "4.2", "HEADER") == head_42 + b"\r\n\r\n"
    assert section(TREE, "4.2", "TEXT") == text_42
    assert section(TREE, "4.2.2", "MIME") == b"Content-Type: multipart/alternative; boundary=a\r\n\r\n"
    assert section(TREE, "4.2.2") == ALTERNATIVE.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("path", ["0", "5", "1.1", "2.1", "3.3", "3.1.1", "4.3", "4.2.2.3", "4.1.1"])
def test_no_such_part(path: str) -> None:
    assert section(TREE, path) is None


def test_header_and_text_of_a_part_that_is_no_message() -> None:
    assert section(TREE, "1", "HEADER") is None
    assert section(TREE, "4", "TEXT") is None


@pytest.mark.parametrize(
    ("part", "header", "text"),
    [
        (b"A: b\r\n\r\n\r\n", b"A: b\r\n\r\n", b""),
        # RFC 2046 §5.1.1: the line end before a boundary is the boundary's
        (b"A: b\r\n\r\n", b"A: b\r\n", b""),
        (b"A: b\r\n", b"A: b", b""),
        (b"\r\n", b"", b""),
        (b"A: b\n\n", b"A: b\n", b""),
    ],
)
def test_a_part_of_nothing_but_a_header_ends_before_the_boundary(part: bytes, header: bytes, text: bytes) -> None:
    data = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n%b--b--\r\n" % part
    assert (section(data, "1", "MIME"), section(data, "1")) == (header, text)


def test_every_message_has_a_part_1() -> None:
    data = b"Subject: a\r\n\r\nbody"
    assert section(data, "1") == b"body"
    assert section(data, "1", "MIME") == b"Subject: a\r\n\r\n"
    assert section(data, "2") is None
    assert section(data, "1.1") is None


def test_a_message_that_is_a_message() -> None:
    data = b"Subject: out\r\n" + FORWARD + b"Subject: in\r\n\r\nbody"
    assert section(data, "1") == b"Subject: in\r\n\r\nbody"
    assert section(data, "1", "HEADER") == b"Subject: in\r\n\r\n"
    assert section(data, "1", "TEXT") == b"body"
    assert section(data, "1.1") == b"body"
    assert section(data, "1.2") is None


def test_a_message_in_a_part_that_is_not_multipart() -> None:
    data = multipart(b"mixed", b"b", FORWARD + b"Subject: in\r\n\r\nbody")
    assert section(data, "1.1") == b"body"
    assert section(data, "1.1", "MIME") == b"Subject: in\r\n\r\n"
    assert section(data, "1.1.1") is None


def test_the_one_empty_part_of_an_empty_multipart() -> None:
    data = b"Content-Type: multipart/mixed; boundary=b\r\n\r\nno boundary here"
    assert section(data, "1") == b""
    assert section(data, "2") is None


HEADER = b"To: a@b\r\nSubject: c\r\n d\r\nX: 1\r\nx: 2\r\njunk\r\n\r\n"


def test_header_fields_in_their_own_order_with_folds() -> None:
    assert header_fields(HEADER, frozenset([b"x", b"subject"]), False) == b"Subject: c\r\n d\r\nX: 1\r\nx: 2\r\n\r\n"


def test_header_fields_not() -> None:
    assert header_fields(HEADER, frozenset([b"x", b"subject"]), True) == b"To: a@b\r\njunk\r\n\r\n"


def test_header_fields_that_are_not_there_are_a_blank_line() -> None:
    assert header_fields(HEADER, frozenset([b"cc"]), False) == b"\r\n"


def test_header_fields_of_bare_lf_and_no_blank_line() -> None:
    assert header_fields(b"A: b\nC: d\0\n", frozenset([b"a", b"c"]), False) == b"A: b\r\nC: d\x80\r\n\r\n"


def test_body_of_nested_messages() -> None:
    body = body_from_bodystructure(scan(TREE).bodystructure)
    start = (
        b'(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0)'
        b'("application" "octet-stream" NIL NIL NIL "7bit" 1)'
        b'("message" "rfc822" NIL NIL NIL "7bit" %d (NIL "three" NIL'
    )
    assert body.startswith(start % len(INNER_3))


def test_body_keeps_literals_that_look_like_structure() -> None:
    data = b'Content-Type: image/png; name="\xc3\xa9 (\\")("\r\nContent-ID: x\r\n\r\n'
    wire = scan(data).bodystructure
    assert wire == b'("image" "png" ("name" {7}\r\n\xc3\xa9 (")() "x" NIL "7bit" 0 NIL NIL NIL NIL)'
    assert body_from_bodystructure(wire) == b'("image" "png" ("name" {7}\r\n\xc3\xa9 (")() "x" NIL "7bit" 0)'


@settings(deadline=None)
@given(messages, st.lists(st.integers(0, 4), max_size=5), st.sampled_from(["", "HEADER", "TEXT", "MIME"]))
def test_any_section_of_any_bytes_lies_in_the_message(data: bytes, path: list[int], what: What) -> None:
    found = scan(data)
    place = locate(found.parts, len(data), found.header_size, tuple(path), what)
    if place is not None and (path or what != "MIME"):
        assert 0 <= place[0] <= place[1] <= len(data)


@given(messages, st.booleans())
def test_kept_fields_answer_as_the_header_does(data: bytes, invert: bool) -> None:
    found = scan(data)
    names = frozenset([b"to", b"subject", b"from"])
    header = data[: found.header_size]
    assert header_fields(found.fields, names, False) == header_fields(header, names, False)
    both = header_fields(header, names, invert)
    assert both.endswith(b"\r\n")
    assert b"\0" not in both


@given(messages, st.sets(st.sampled_from([b"to", b"from", b"subject", b"x-other", b"content-type", b"a.b", b"("])))
def test_fields_named_and_not_named_are_all_of_them(data: bytes, names: set[bytes]) -> None:
    header = data[: scan(data).header_size]
    named, others = (header_fields(header, frozenset(names), invert) for invert in (False, True))
    whole = header_fields(header, frozenset(), True)
    assert sorted(split_lines(named) + split_lines(others)) == sorted(split_lines(whole))
    assert all(field_name(line) in names for line in split_lines(named))
