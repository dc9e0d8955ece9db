"""A part's structure out of the message's: the numbers are those of BODY[section]."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.mime.strategies import messages
from tests.mailpod.mime.test_sections import TREE

from mailpod.mime.partstructure import decoded_structure, part_structure
from mailpod.mime.scan import scan
from mailpod.mime.sections import locate, tokens

LEAF = b'("text" "plain" ("charset" "us-ascii") NIL NIL "%b" %d %d NIL NIL NIL NIL)'


@pytest.mark.parametrize(
    ("path", "start"),
    [
        ((), b'(("text" "plain" '),
        ((1,), b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 1 0 '),
        ((2,), b'("application" "octet-stream" NIL NIL NIL "7bit" 1 '),
        ((3,), b'("message" "rfc822" '),
        ((3, 2), b'("application" "octet-stream" NIL NIL NIL "7bit" 3 '),
        ((4,), b'(("image" "gif" '),
        ((4, 2, 2), b'(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 7 0 '),
        ((4, 2, 2, 2), b'("text" "richtext" '),
    ],
)
def test_the_tree_of_the_rfc(path: tuple[int, ...], start: bytes) -> None:
    found = part_structure(scan(TREE).bodystructure, path)
    assert found is not None and found.startswith(start)


@given(messages, st.lists(st.integers(0, 3), max_size=4))
def test_a_part_has_a_structure_where_it_has_a_body(data: bytes, path: list[int]) -> None:
    found = scan(data)
    there = locate(found.parts, len(data), found.header_size, tuple(path), "")
    structure = part_structure(found.bodystructure, tuple(path))
    assert (structure is None) == (there is None)
    if structure is not None:
        assert structure in found.bodystructure and tokens(structure)[-1] == b")"
        assert tokens(decoded_structure(structure, b"\0"))[-1] == b")"


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"a\r\nb", b"7bit"),
        (b"", b"7bit"),
        (b"\xc3\xbc\r\n", b"8bit"),
        (b"a\nb\n", b"binary"),
        (b"\0", b"binary"),
        (b"x" * 999, b"binary"),
    ],
)
def test_what_is_decoded_says_so(data: bytes, encoding: bytes) -> None:
    """RFC 5524 §3.2: an identity encoding, and that data's size; §3.1: no lines, as in imaptest's urlauth-binary."""
    assert decoded_structure(LEAF % (b"base64", 90, 3), data) == LEAF % (encoding, len(data), 0)


def test_what_was_not_encoded_stays() -> None:
    for structure in (LEAF % (b"8bit", 4, 1), b'(%b "mixed" NIL NIL NIL NIL)' % (LEAF % (b"base64", 4, 1))):
        assert decoded_structure(structure, b"\0") == structure
