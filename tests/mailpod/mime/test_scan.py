"""scan: what is kept of a message beside its bytes."""

from __future__ import annotations

from hypothesis import example, given, settings
from tests.mailpod.mime.grammar import check_body, check_envelope, read
from tests.mailpod.mime.strategies import messages

from mailpod.mime.scan import CACHED_FIELDS, scan
from mailpod.mime.sections import body_from_bodystructure

RFC_3501_SECTION_8 = b"""\
Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r
From: Terry Gray <gray@cac.washington.edu>\r
Subject: IMAP4rev1 WG mtg summary and minutes\r
To: imap@cac.washington.edu\r
cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r
Message-Id: <B27397-0100000@cac.washington.edu>\r
MIME-Version: 1.0\r
Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r
\r
"""


def test_the_example_session_of_rfc_3501() -> None:
    body = b"x" * 31 + b"\r\n"
    data = RFC_3501_SECTION_8 + body * 91 + b"y" * 23 + b"\r\n"
    found = scan(data)
    assert found.envelope == (
        b'("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev1 WG mtg summary and minutes" '
        b'(("Terry Gray" NIL "gray" "cac.washington.edu")) (("Terry Gray" NIL "gray" "cac.washington.edu")) '
        b'(("Terry Gray" NIL "gray" "cac.washington.edu")) ((NIL NIL "imap" "cac.washington.edu")) '
        b'((NIL NIL "minutes" "CNRI.Reston.VA.US")("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL '
        b'"<B27397-0100000@cac.washington.edu>")'
    )
    assert found.bodystructure == (b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7bit" 3028 92 NIL NIL NIL NIL)')
    assert body_from_bodystructure(found.bodystructure) == (
        b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7bit" 3028 92)'
    )
    assert found.header_size == len(RFC_3501_SECTION_8) == 342
    assert found.parts == ()


def test_fields_are_kept_raw_and_the_others_by_name() -> None:
    found = scan(b"X-B: 1\r\nSUBJECT: a\r\n b\r\nx-b: 2\r\nReceived: x\r\njunk\r\nTo : c@d\r\n\r\nSubject: body\r\n")
    assert found.fields == b"SUBJECT: a\r\n b\r\nTo : c@d\r\n"
    assert found.names == b"x-b received"


def test_bare_lf_headers_are_kept_with_crlf_and_sizes_are_those_stored() -> None:
    found = scan(b"Subject: a\n b\nX: y\n\nbody\n")
    assert found.fields == b"Subject: a\r\n b\r\n"
    assert found.header_size == 20
    assert found.bodystructure == b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 5 1 NIL NIL NIL NIL)'


def test_nul_never_leaves_in_a_field_or_string() -> None:
    found = scan(b"Subject: a\0b\r\nContent-ID: \0\r\n\r\n\0")
    assert found.fields == b"Subject: a\x80b\r\n"
    assert b"\0" not in found.envelope + found.bodystructure + found.names


def test_a_header_alone_with_no_final_newline() -> None:
    found = scan(b"Subject: a")
    assert (found.header_size, found.fields) == (10, b"Subject: a\r\n")


def test_nothing_at_all() -> None:
    found = scan(b"")
    assert found.envelope == b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"
    assert found.bodystructure == b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0 NIL NIL NIL NIL)'
    assert (found.header_size, found.fields, found.names, found.parts) == (0, b"", b"", ())


def test_parts_are_in_pre_order_with_their_ranges() -> None:
    data = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\nA: b\r\n\r\nyz\r\n--b--\r\n"
    assert scan(data).parts == (0, 1, 0, 45, 79, 1, 0, 50, 52, 53, 1, 0, 60, 68, 70)


def test_every_header_name_is_either_kept_or_named() -> None:
    data = b"".join(b"%b: x\r\n" % name.title() for name in sorted(CACHED_FIELDS)) + b"Other: y\r\n\r\n"
    found = scan(data)
    assert found.fields == data[:-12]
    assert found.names == b"other"


@settings(max_examples=600, deadline=None)
@given(messages)
@example(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b")
def test_any_bytes_give_valid_imap(data: bytes) -> None:
    found = scan(data)
    check_envelope(read(found.envelope))
    check_body(read(found.bodystructure), extension=True)
    body = body_from_bodystructure(found.bodystructure)
    check_body(read(body), extension=False)
    assert b"\0" not in found.fields + found.names
    assert not found.fields or found.fields.endswith(b"\r\n")
    assert 0 <= found.header_size <= len(data)
    _check_rows(found.parts, len(data))


def _check_rows(parts: tuple[int, ...], size: int) -> None:
    """Each part lies in its parent, and siblings do not overlap."""
    ends: list[tuple[int, int]] = []  # (from where a child may start, where it must end) by depth
    for at in range(0, len(parts), 5):
        depth, kind, header_start, body_start, body_end = parts[at : at + 5]
        assert kind in (0, 1, 2)
        assert depth <= len(ends)
        del ends[depth + 1 :]
        first, last = ends[depth - 1] if depth else (0, size)
        if depth:
            ends[depth - 1] = (body_end, last)
        assert first <= header_start <= body_start <= body_end <= last
        ends[depth:] = [(body_start, body_end)]
