"""BODY sections from a page's cache, and dates on the wire, against the slow and sure way."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mailpod.imap.fetchwire import date_times
from mailpod.imap.searchtext import Needle, casemap, encoded_fields, field_values
from mailpod.imap.sections import choose
from mailpod.mime.headers import parse_fields, unfold
from mailpod.mime.scan import scan
from mailpod.mime.sections import header_fields
from mailpod.mime.text import decode_header, decoded_text
from mailpod.store.fieldlines import field_lines

NAMES = [b"From", b"to", b"SUBJECT", b"Date", b"Subject ", b"X-Other", b"no colon", b"Message-ID"]
pieces = st.lists(
    st.sampled_from([b"a", b" ", b"\t", b":", b"\r\n ", b"\n\t", b"\0", b"\r", "ü".encode(), b"=?utf-8?q?x?="])
)
fields = st.builds(lambda name, value: name + b":" + b"".join(value) + b"\r\n", st.sampled_from(NAMES), pieces)
headers = st.lists(fields).map(lambda lines: b"".join(lines) + b"\r\nbody")


wanted = st.frozensets(st.sampled_from([b"from", b"to", b"subject", b"date", b"message-id", b"content-type"]))


@given(st.lists(headers, min_size=1, max_size=3), wanted)
def test_fields_from_the_cache_are_those_of_the_header(column: list[bytes], names: frozenset[bytes]) -> None:
    found = [(scan(data), data) for data in column]
    slowly = [header_fields(data[: each.header_size], names, False) for each, data in found]
    assert choose([each.fields for each, _ in found], names) == slowly


rows = st.sets(st.integers(0, 299), min_size=1).map(sorted) | st.sampled_from([range(300), range(7, 9), range(0)])


@given(st.lists(headers, min_size=1, max_size=3), wanted, rows)
def test_a_page_says_where_its_fields_end(column: list[bytes], names: frozenset[bytes], rows: Sequence[int]) -> None:
    column = [*column, b"X-Other: y\r\nSubject: %b\r\nFrom: z\r\n\r\n" % (b"x" * 300)]
    found = ([(scan(data), data) for data in column] * 150)[:300]
    slowly = [header_fields(data[: each.header_size], names, False) for each, data in found]
    kept = [each.fields for each, _ in found]
    lines = field_lines(kept)
    assert lines is not None and lines.fits(300)
    assert lines.chosen(msgspec.msgpack.encode(kept), names, rows) == [slowly[row] for row in rows]


def test_what_pages_do_not_say() -> None:
    field = b"Subject: x\r\n"
    for odd in (b"Subject: " + b"x" * 65_522 + b"\r\n", b"no colon\r\n" + field, field + b"no colon\r\n" + field, b"x"):
        assert field_lines([odd] + [field] * 299) is None
    assert field_lines([field] * 249) is None
    lines = field_lines([b"Subject: " + b"x" * 65_521 + b"\r\n"] * 300)
    assert lines is not None and not lines.fits(299)


@given(headers, st.sampled_from([b"from", b"subject", b"date"]))
def test_values_from_the_cache_are_those_of_the_header(data: bytes, name: bytes) -> None:
    kept = scan(data).fields
    assert [unfold(value) for value in field_values(kept, name)] == [
        unfold(value) for value in parse_fields(kept).get(name, [])
    ]


words = st.text(st.sampled_from("aBk ßéK=?"), min_size=1, max_size=4)


@given(headers, words, st.sampled_from([b"from", b"subject"]))
def test_the_cheap_look_at_fields_hides_nothing(data: bytes, word: str, name: bytes) -> None:
    kept = scan(data).fields
    slowly = any(casemap(word) in casemap(decode_header(value)) for value in parse_fields(kept).get(name, []))
    column = [b"", kept, b"Other: x\r\n", kept]
    assert Needle(word).in_column(column, encoded_fields(column), name) == [False, slowly, False, slowly]


@given(st.binary(max_size=80) | headers, words)
def test_the_cheap_look_at_messages_hides_nothing(data: bytes, word: str) -> None:
    found = scan(data)
    texts = decoded_text(data, found.parts, found.header_size, headers=True)
    slowly = any(casemap(word) in casemap(text) for text in texts)
    assert Needle(word).in_message(data, found.parts, found.header_size, headers=True) == slowly


@given(st.integers(-2_000_000_000, 200_000_000_000))
def test_internal_dates(seconds: int) -> None:
    when = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    assert list(date_times([seconds])) == [f'"{when.day:2}-{when:%b}-{when.year:04} {when:%H:%M:%S} +0000"'.encode()]


def test_dates_beyond_the_calendar_stay_in_it() -> None:
    assert list(date_times([-(10**12), 10**13])) == [
        b'" 1-Jan-0001 22:13:20 +0000"',
        b'"31-Dec-9999 17:46:40 +0000"',
    ]
