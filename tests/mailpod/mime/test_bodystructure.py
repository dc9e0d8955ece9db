"""BODYSTRUCTURE: RFC 3501 §7.4.2's examples, each field of a part, boundaries, and Dovecot's answers to odd input."""

from __future__ import annotations

import pytest

from mailpod.mime.scan import scan
from mailpod.mime.sections import body_from_bodystructure

TEXT = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" %d %d NIL NIL NIL NIL)'
MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
MIXED_END = b' "mixed" ("boundary" "b") NIL NIL NIL)'


def structure(data: bytes) -> bytes:
    return scan(data).bodystructure


def test_the_two_part_example_of_rfc_3501() -> None:
    first = b"x" * 48 + b"\r\n"
    data = (
        b"Content-Type: MULTIPART/MIXED; BOUNDARY=sep\r\n\r\npreamble\r\n--sep\r\n"
        b"Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n" + first * 23 + b"xx\r\n--sep\r\n"
        b'Content-Type: TEXT/PLAIN; CHARSET=US-ASCII; NAME="cc.diff"\r\n'
        b"Content-ID: <960723163407.20117h@cac.washington.edu>\r\nContent-Description: Compiler diff\r\n"
        b"Content-Transfer-Encoding: BASE64\r\n\r\n" + b"y" * 60 + b"\r\n" + b"y" * 60 + b"\r\n--sep--\r\n"
    )
    assert body_from_bodystructure(structure(data)) == (
        b'(("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7bit" 1152 23)'
        b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII" "NAME" "cc.diff") "<960723163407.20117h@cac.washington.edu>" '
        b'"Compiler diff" "BASE64" 122 1) "MIXED")'
    )


@pytest.mark.parametrize(
    ("content_type", "start"),
    [
        (b"", b'"text" "plain" ("charset" "us-ascii")'),
        (b"nonsense", b'"text" "plain" ("charset" "us-ascii")'),
        (b"Text/HTML", b'"Text" "HTML" ("charset" "us-ascii")'),
        (b"text/plain; Charset=x", b'"text" "plain" ("Charset" "x")'),
        (b"image/png", b'"image" "png" NIL'),
        (b'a/b; c=d;\r\n\te="f g"', b'"a" "b" ("c" "d" "e" "f g")'),
        (b'a/b; c="d\\"e;f"', b'"a" "b" ("c" "d\\"e;f")'),
        (b'a/b; c="d\r\n e"', b'"a" "b" ("c" "d e")'),
        (b'a/b; c=""', b'"a" "b" ("c" "")'),
        (b"a/b; c=", b'"a" "b" ("c" "")'),
        (b"a/b; c", b'"a" "b" NIL'),
        (b"a/b;; c=d", b'"a" "b" ("c" "d")'),
        (b"a/b c=d; e=f", b'"a" "b" ("e" "f")'),
        (b"a/b; c=d e; f=g", b'"a" "b" ("c" "d" "f" "g")'),
        (b"a/b; c=x/y=z.txt", b'"a" "b" ("c" "x/y=z.txt")'),
        (b'a/b; c="open', b'"a" "b" ("c" "open")'),
        (b"(x) a (y) / b (z); (u) c (v) = (w) d (t)", b'"a" "b" ("c" "d")'),
        (b"a/b; c=caf\xc3\xa9", b'"a" "b" ("c" {5}\r\ncaf\xc3\xa9)'),
        (b'a/b; c="\0"', b'"a" "b" ("c" {3}\r\n\xef\xbf\xbd)'),
        # RFC 2231 §6: continuations are joined; what is coded in them is left to the client
        (b"a/b; c*0*=us-ascii'en'x; c*1=y", b'"a" "b" ("c*" "us-ascii\'en\'xy")'),
        (b"a/b; c*1=y; d=e; C*0=x; c*2=z", b'"a" "b" ("c" "xyz" "d" "e")'),
        (b"a/b; c*0*=utf-8''50%25; c*1=\"%\"; c*2*=%C3%A9", b'"a" "b" ("c*" "utf-8\'\'50%25%25%C3%A9")'),
        (b"a/b; c*=utf-8''%C3%A9", b'"a" "b" ("c*" "utf-8\'\'%C3%A9")'),
        # with a gap, or numbered otherwise, they stand
        (b"a/b; c*0=x; c*2=z", b'"a" "b" ("c*0" "x" "c*2" "z")'),
        (b"a/b; c*1=x; *0=y; c*01=z", b'"a" "b" ("c*1" "x" "*0" "y" "c*01" "z")'),
        (b"text/plain; charset*0=utf; charset*1=-8", b'"text" "plain" ("charset" "utf-8")'),
    ],
)
def test_content_types(content_type: bytes, start: bytes) -> None:
    wire = structure(b"Content-Type: %b\r\n\r\nbody" % content_type)
    lines = b" 0" if start[:5].lower() == b'"text' else b""
    assert wire == b'(%b NIL NIL "7bit" 4%b NIL NIL NIL NIL)' % (start, lines)


@pytest.mark.parametrize(
    ("field", "wire"),
    [
        (b"Content-Transfer-Encoding: BASE64", b'NIL NIL "BASE64" 1 NIL NIL NIL NIL'),
        (b"Content-Transfer-Encoding: (c) base64 (d)", b'NIL NIL "base64" 1 NIL NIL NIL NIL'),
        (b"Content-Transfer-Encoding:", b'NIL NIL "7bit" 1 NIL NIL NIL NIL'),
        (b"Content-ID: <a@b>", b'"<a@b>" NIL "7bit" 1 NIL NIL NIL NIL'),
        (b"Content-ID:", b'"" NIL "7bit" 1 NIL NIL NIL NIL'),
        (b"Content-ID: <a@b>\r\nContent-ID: <c@d>", b'"<a@b>" NIL "7bit" 1 NIL NIL NIL NIL'),
        (b"Content-Description: a\r\n b", b'NIL "a b" "7bit" 1 NIL NIL NIL NIL'),
        (b"Content-MD5: Q2hlY2s=", b'NIL NIL "7bit" 1 "Q2hlY2s=" NIL NIL NIL'),
        (b"Content-Disposition: inline", b'NIL NIL "7bit" 1 NIL ("inline" NIL) NIL NIL'),
        (
            b'Content-Disposition: ATTACHMENT; filename="a b"; size=1',
            b'NIL NIL "7bit" 1 NIL ("ATTACHMENT" ("filename" "a b" "size" "1")) NIL NIL',
        ),
        (b"Content-Disposition: ;x=y", b'NIL NIL "7bit" 1 NIL NIL NIL NIL'),
        (b"Content-Language: en", b'NIL NIL "7bit" 1 NIL NIL ("en") NIL'),
        (b"Content-Language: en (English), de-DE", b'NIL NIL "7bit" 1 NIL NIL ("en" "de-DE") NIL'),
        (b"Content-Language: ,", b'NIL NIL "7bit" 1 NIL NIL NIL NIL'),
        (b"Content-Location: http://x/y", b'NIL NIL "7bit" 1 NIL NIL NIL "http://x/y"'),
    ],
)
def test_fields_of_a_part(field: bytes, wire: bytes) -> None:
    assert structure(b"Content-Type: image/png\r\n%b\r\n\r\nx" % field) == b'("image" "png" NIL %b)' % wire


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        # each multipart without parts is given one of nothing
        (b"", [(0, 0)]),
        (b"no boundary\r\n", [(0, 0)]),
        (b"--b--\r\n", [(0, 0)]),
        (b"--b", [(0, 0)]),
        (b"--b\r\n", [(0, 0)]),
        (b"--b\r\n\r\nx", [(1, 0)]),
        (b"--b\r\n\r\nx\r\n--b", [(1, 0)]),
        (b"--b\r\n\r\nx\r\n--b\r\n", [(1, 0), (0, 0)]),
        (b"pre\r\n--b\r\n\r\nx\r\n--b--\r\nepi\r\n--b\r\n\r\ny\r\n", [(1, 0)]),
        # RFC 2046 §5.1.1: the line end before a boundary is not the part's
        (b"--b\r\n\r\n\r\n--b\r\n\r\n\r\n\r\n--b--\r\n", [(0, 0), (2, 1)]),
        (b"--b\n\nx\n--b\n\ny\n\n--b--\n", [(1, 0), (2, 1)]),
        (b"--b\r\n--b\r\n\r\nx\r\n--b--\r\n", [(0, 0), (1, 0)]),
        # no blank line: the boundary ends the header too
        (b"--b\r\nA: b\r\n--b\r\n\r\nx\r\n--b--\r\n", [(0, 0), (1, 0)]),
        # boundaries are matched by prefix, and trailing white space is let pass
        (b"--b \t\r\n\r\nx\r\n--b-- \r\n", [(1, 0)]),
        (b"--bb\r\n\r\nx\r\n--b--", [(1, 0)]),
        (b" --b\r\n\r\nx\r\n", [(0, 0)]),
    ],
)
def test_boundaries(body: bytes, parts: list[tuple[int, int]]) -> None:
    wire = b"(%b%b" % (b"".join(TEXT % part for part in parts), MIXED_END)
    assert structure(MIXED + body) == wire


def test_a_multipart_without_a_boundary_parameter_has_no_parts() -> None:
    assert structure(b"Content-Type: multipart/mixed\r\n\r\nx") == b'(%b "mixed" NIL NIL NIL NIL)' % (TEXT % (0, 0))


def test_the_inner_boundary_may_begin_with_the_outer_one() -> None:
    data = MIXED + (
        b"--b\r\nContent-Type: multipart/alternative; boundary=bb\r\n\r\n--bb\r\n\r\nx\r\n--bb--\r\n"
        b"--b\r\n\r\nyz\r\n--b--\r\n"
    )
    inner = b'(%b "alternative" ("boundary" "bb") NIL NIL NIL)' % (TEXT % (1, 0))
    assert structure(data) == b"(%b%b%b" % (inner, TEXT % (2, 0), MIXED_END)


def test_a_parent_boundary_ends_an_open_inner_multipart() -> None:
    data = MIXED + (
        b"--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\nx\r\n"
        b"--b\r\n\r\n--c\r\nyz\r\n--b--\r\n"
    )
    inner = b'(%b "alternative" ("boundary" "c") NIL NIL NIL)' % (TEXT % (1, 0))
    assert structure(data) == b"(%b%b%b" % (inner, TEXT % (7, 1), MIXED_END)


def test_in_a_digest_the_default_is_a_message() -> None:
    data = b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: a\r\n\r\nx\r\ny\r\n--b--\r\n"
    assert structure(data) == (
        b'(("message" "rfc822" NIL NIL NIL "7bit" 18 (NIL "a" NIL NIL NIL NIL NIL NIL NIL NIL) %b 3 NIL NIL NIL NIL) '
        b'"digest" ("boundary" "b") NIL NIL NIL)' % (TEXT % (4, 1))
    )


def test_nesting_stops_at_ninety_nine_and_the_rest_is_opaque() -> None:
    wire = structure(b"Content-Type: message/rfc822\r\n\r\n" * 150)
    assert wire.lower().count(b'"rfc822"') == 99
    assert wire.count(b'("application" "octet-stream" NIL NIL NIL "7bit" %d NIL' % (32 * 50)) == 1


def test_the_last_of_ten_thousand_parts_takes_the_rest() -> None:
    found = scan(MIXED + b"--b\r\n\r\nx\r\n" * 10_500)
    assert len(found.parts) == 5 * 10_000
    assert found.parts[-1] == len(MIXED) + 10_500 * 10
