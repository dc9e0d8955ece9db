"""Text for SEARCH: header words, transfer encodings, charsets, base subjects."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mailpod.mime.strategies import messages

from mailpod.mime import charsets
from mailpod.mime.scan import scan
from mailpod.mime.text import decode_header, decoded_text, parse_date, subject_base


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        # RFC 2047 §8
        (b"=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"),
        (b"=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?= <keld@dkuug.dk>", "Keld Jørn Simonsen <keld@dkuug.dk>"),
        (
            b"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n"
            b" =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
            "If you can read this you understand the example.",
        ),
        (b"(=?ISO-8859-1?Q?a?= b)", "(a b)"),
        (b"(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)"),
        (b"(=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=)", "(ab)"),
        (b"(=?ISO-8859-1?Q?a_b?=)", "(a b)"),
        (b"=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"),
        # a character cut in two between words, as many mailers do
        (b"=?utf-8?b?w6nD?= =?UTF-8?q?=A9?=", "éé"),
        # not as the RFC has it
        (b" plain \r\n\ttext \r\n", "plain \ttext"),
        (b"caf\xc3\xa9", "café"),
        (b"caf\xe9", "café"),
        (b"caf\xe9 caf\xc3\xa9", "café café"),
        (b"=?x-unknown?q?caf=E9?=", "café"),
        (b"=?utf-8?q?caf=E9?=", "caf\ufffd"),
        (b"=?utf-8?q?a b?=", "a b"),
        (b"=?utf-8?b?w6k?=", "é"),
        (b"=?utf-8?b?w!6k=?=", "é"),
        (b"=?utf-8?x?a?=", "=?x".replace("x", "utf-8?x?a?=")),
        (b"=?utf-8?q?open", "=?utf-8?q?open"),
        (b"a=?utf-8?q?b?=c", "abc"),
        (b"=?punycode?q?a?= =?zlib?q?b?=", "ab"),
        (b"=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=", "日本"),
        (b"=?shift_jis?b?k/qWew==?=", "日本"),
        (b"=?gb2312?b?xPq6ww==?=", "您好"),
        (b"=?koi8-r?b?0NLJ18XU?=", "привет"),
        (b"=?iso-2022-jp?q?caf=C3=A9?=", "café"),
    ],
)
def test_header_words(raw: bytes, text: str) -> None:
    assert decode_header(raw) == text


@given(st.binary())
def test_any_header_is_text(raw: bytes) -> None:
    decode_header(raw)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_utf_8_headers_come_back(text: str) -> None:
    if "=?" not in text:
        assert decode_header(text.encode()) == text.strip(" ")


@given(st.binary(), st.one_of(st.text(), st.sampled_from(sorted(charsets._CODECS))))
@settings(max_examples=400)
def test_any_bytes_in_any_charset_are_text(data: bytes, charset: str) -> None:
    text = charsets.decode(data, charset)
    with contextlib.suppress(ValueError):
        assert charsets.strictly(data, charset) == text


@given(st.binary(), st.text(), st.binary(), st.sampled_from(["", "us-ascii", "x-unknown", "utf-8"]))
def test_utf_8_is_read_between_what_is_none(before: bytes, text: str, after: bytes, charset: str) -> None:
    """RFC 5255 §4.6 (c): whoever asks for these octets finds them."""
    assert text in charsets.decode(before + text.encode() + after, charset)


@given(st.binary())
def test_transfer_encodings_take_anything(data: bytes) -> None:
    charsets.base64(data)
    charsets.quoted_printable(data)
    charsets.q_word(data)


def texts(data: bytes, *, headers: bool = False) -> list[str]:
    found = scan(data)
    return list(decoded_text(data, found.parts, found.header_size, headers=headers))


def test_a_plain_message() -> None:
    data = b"Subject: =?utf-8?q?caf=C3=A9?=\r\n\r\nbody\r\n"
    assert texts(data) == ["body\r\n"]
    assert texts(data, headers=True) == ["Subject: café", "body\r\n"]


@pytest.mark.parametrize(
    ("header", "body", "text"),
    [
        (b"Content-Transfer-Encoding: BASE64", b"Y2Fmw\r\n6k=\r\n-- garbage --", "café"),
        (b"Content-Transfer-Encoding: base64", b"Y2Fmw6", "caf\xc3"),
        (b"Content-Transfer-Encoding: quoted-printable", b"caf=C3=A9 =\r\nau lait =ZZ", "café au lait =ZZ"),
        (b"Content-Transfer-Encoding: x-unknown", b"as it is", "as it is"),
        (b"Content-Type: text/plain; charset=iso-8859-15", b"\xa4", "€"),
        (b"Content-Type: text/html", b"<p>Hello</p>", "<p>Hello</p>"),
        (b"Content-Type: text/plain; charset=nonsense", b"caf\xe9", "café"),
        (b"Content-Type: nonsense", b"body", "body"),
        (b"Content-Type: multipart/mixed", b"no parts", "no parts"),
    ],
)
def test_bodies(header: bytes, body: bytes, text: str) -> None:
    assert texts(header + b"\r\n\r\n" + body) == [text]


def test_binary_attachments_are_not_searched() -> None:
    assert texts(b"Content-Type: image/png\r\n\r\nPNG") == []


def test_inner_headers_are_body() -> None:
    data = (
        b"Subject: top\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/plain\r\n\r\none\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: =?utf-8?q?inner?=\r\n\r\ntwo\r\n--b--\r\n"
    )
    assert texts(data) == [
        *("Content-Type: text/plain", "one"),
        *("Content-Type: message/rfc822", "Subject: inner", "two"),
    ]


@given(messages)
@settings(deadline=None)
def test_any_message_has_text(data: bytes) -> None:
    texts(data, headers=True)


@pytest.mark.parametrize(
    ("subject", "base", "reply"),
    [
        ("hello", "hello", False),
        ("Re: hello", "hello", True),
        ("RE:hello", "hello", True),
        ("re : Fw: FWD:  hello   world", "hello world", True),
        ("Re[2]: hello", "hello", True),
        ("[list] Re: [list] hello", "hello", True),
        ("[list] hello", "hello", False),
        ("[list]", "[list]", False),
        ("[a] [list]", "[list]", False),
        ("hello (fwd)", "hello", True),
        ("hello (FWD) (fwd) ", "hello", True),
        ("[fwd: hello]", "hello", True),
        ("[Fwd: [fwd: Re: hello (fwd)]]", "hello", True),
        ("Re: ", "", True),
        ("", "", False),
        ("rest: hello", "rest: hello", False),
        ("Regarding", "Regarding", False),
        ("a [b] c", "a [b] c", False),
    ],
)
def test_base_subjects_of_rfc_5256(subject: str, base: str, reply: bool) -> None:
    assert subject_base(subject) == (base, reply)


@given(st.text("re:fwd[]() a"))
def test_a_base_subject_is_its_own_base(subject: str) -> None:
    base, _ = subject_base(subject)
    assert subject_base(base)[0] == base


def test_dates_are_had_from_here_too() -> None:
    assert parse_date(b"1 Jan 1970 00:00:00 +0000") == (0, 0)
