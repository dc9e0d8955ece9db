"""What the server writes is understood by what reads commands: names, strings and dates there and back."""

from __future__ import annotations

import datetime
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailpod.imap import utf7, wire
from mailpod.imap.dates import parse_date, parse_date_time
from mailpod.imap.lexer import Cursor, Frame
from mailpod.imap.names import canonical

_LITERAL = re.compile(rb"\{([0-9]+)\}\r\n")


def read(encoded: bytes) -> Cursor:
    """A cursor over what `wire` made: one word, quoted string or literal."""
    if found := _LITERAL.match(encoded):
        assert len(encoded) == found.end() + int(found[1])
        return Cursor(Frame([b"", b""], [encoded[found.end() :]]))
    return Cursor(Frame([encoded]))


@given(st.binary())
def test_strings(value: bytes) -> None:
    for encode in (wire.string, wire.astring):
        cursor = read(encode(value))
        assert cursor.astring() == value.replace(b"\0", b"")
        cursor.end()
        assert b"\r\n" not in encode(value) or encode(value).startswith(b"{")


@given(st.text())
def test_mailbox_names(name: str) -> None:
    cursor = read(wire.mailbox(name))
    assert cursor.mailbox() == canonical(name)
    cursor.end()


@given(st.binary(max_size=12))
def test_a_name_has_one_wire_form(encoded: bytes) -> None:
    try:
        name = utf7.decode(encoded)
    except ValueError:
        return
    assert utf7.encode(name) == encoded or not encoded.isascii()


@given(st.text())
def test_a_name_in_utf8_is_read_too(name: str) -> None:
    """As go-imap 2 sends it to a server that offers IMAP4rev2, before it has enabled that: only `&` is escaped."""
    if "\x7f" not in name and name.isprintable():
        assert utf7.decode(name.replace("&", "&-").encode()) == name


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # RFC 3501 §5.1.3
        ("Hi Mom -☺-!", b"Hi Mom -&Jjo--!"),
        ("R&D", b"R&-D"),
        ("😀", b"&2D3eAA-"),
        ("", b""),
    ],
)
def test_utf7(name: str, encoded: bytes) -> None:
    assert utf7.encode(name) == encoded
    assert utf7.decode(encoded) == name


@pytest.mark.parametrize(
    "wrong",
    [
        b"&",
        b"&x",
        b"&Jjo",
        b"&AGEAYg-",
        b"&Jjo-&Jjo-",
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        b"&APw-\xc3\xbc",
        b"\n",
        b"&2D0-",
        b"&Jjp-x&-&",
    ],
)
def test_bad_utf7(wrong: bytes) -> None:
    with pytest.raises(ValueError, match="UTF-7"):
        utf7.decode(wrong)


@given(st.text())
def test_text_is_one_line(value: str) -> None:
    assert re.fullmatch(rb"[\x20-\x7e]+", wire.text(value))


@given(st.integers(1, 2**32 - 3000), st.integers(0, 2500))
@example(999, 1002)
def test_numbers(first: int, count: int) -> None:
    values = range(first, first + count)
    expected = b"".join([b" %d" % each for each in values])
    assert wire.numbers(values) == wire.numbers([*values]) == expected
    assert wire.numbers(values[::-1]) == b"".join([b" %d" % each for each in values[::-1]])


def test_nil_is_a_string_too() -> None:
    assert wire.astring(b"nil") == b'"nil"'
    assert wire.nstring(None) == b"NIL"


def test_dates() -> None:
    assert parse_date(b"1-jan-2020") == datetime.date(2020, 1, 1)
    assert parse_date_time(b"01-Jan-1970 00:00:00 +0000") == (0, 0)
    assert parse_date_time(b" 1-Jan-1970 00:00:00 -0130") == (5400, -90)
    for wrong in (b"32-Jan-1970 00:00:00 +0000", b"01-Jan-1970 24:00:00 +0000", b"01-Jan-1970 00:00:00", b"1-Foo-1970"):
        with pytest.raises(ValueError, match=r"."):
            parse_date_time(wrong)
