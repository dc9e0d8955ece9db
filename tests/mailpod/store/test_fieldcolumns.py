"""Columns of header fields: what a row holds is what the texts of its field hold, and nothing of its neighbours'."""

from __future__ import annotations

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from mailpod.mime.collation import casemap
from mailpod.mime.fieldtexts import field_texts
from mailpod.mime.headers import field_values, kept_block, parse_lines, split_lines
from mailpod.store.fieldcolumns import FIELDS, holding, pack, row_of, unpack
from mailpod.store.page import BadPage
from mailpod.store.postings import Builder, Made, at_once, read_terms
from mailpod.store.postings import joined as joined_segments
from mailpod.store.texts import octets

VALUES = st.lists(
    st.sampled_from([b"ann", b"@", b" ", b"(c)", b'"q"', b"<", b">", b",", b":", b";", b".", b"=?utf-8?q?=C3=89=0A?="])
    | st.binary(max_size=3),
    max_size=8,
).map(b"".join)
HEADERS = st.lists(st.tuples(st.sampled_from([*FIELDS, b"x-other"]), VALUES), max_size=4)


def kept(header: list[tuple[bytes, bytes]]) -> bytes:
    """What a page keeps of this header."""
    raw = b"".join(b"%b: %b\r\n" % each for each in header)
    return kept_block(parse_lines(split_lines(raw))[1])


@settings(max_examples=50)
@given(st.lists(HEADERS, min_size=1, max_size=5), st.text("aAn@é\n(", min_size=1, max_size=3) | st.text(min_size=1))
def test_a_row_holds_what_its_field_does(headers: list[list[tuple[bytes, bytes]]], string: str) -> None:
    fields = list(map(kept, headers))
    mapped = casemap(string)
    for name, packed in zip(FIELDS, pack(list(map(row_of, fields))), strict=True):
        texts = [list(field_texts(field_values(each, name), name)) for each in fields]
        expected = [row for row, found in enumerate(texts) if any(mapped in text for text in found)]
        rows, unsaid = holding(unpack(packed, len(fields)), octets(mapped))
        assert (list(rows), list(unsaid)) == (expected, [])


def test_a_long_row_says_nothing() -> None:
    rows = [
        row_of(b"To: %b\r\n" % to) for to in (b"ann@x", b"ann@x, " * 1000, b"(\xff) bob @ x", b"\xe2\x85\xb7" * 600)
    ]
    to = unpack(pack(rows)[FIELDS.index(b"to")], 4)
    assert list(map(list, holding(to, b"ANN"))) == [[0], [1, 3]]
    assert list(map(list, holding(to, b"BOB@X"))) == [[2], [1, 3]]


def test_a_column_of_others_is_refused() -> None:
    [packed] = pack([(b"A\xfe",), (b"",)])
    assert unpack(packed, 2) == b"A\xfe\xff\xff"
    bomb = zstandard.ZstdCompressor(1, write_checksum=True).compress(bytes(1 << 20) + b"\xff\xff")
    for damaged in (packed[:-1], b"", b"x" + packed, bomb, bytes([*packed[:-1], packed[-1] ^ 1])):
        with pytest.raises(BadPage):
            unpack(damaged, 2)
    with pytest.raises(BadPage):
        unpack(packed, 3)


def segment(first: int, *subjects: bytes, fields: bool = True) -> Made:
    builder = Builder()
    for uid, subject in enumerate(subjects, first):
        row = row_of(b"Subject: %b\r\n" % subject) if fields else ()
        builder.add(uid, {"WORD"}, fields=row)
    return at_once(builder.finish())


def subjects(made: Made) -> bytes:
    terms = read_terms(made.terms)
    start, end = terms.field_place(FIELDS.index(b"subject"))
    return unpack(made.postings[start:end], len(terms.uids))


def test_segments_are_joined_with_their_columns() -> None:
    both = at_once(joined_segments(segment(1, b"one", b"two"), segment(3, b"three")))
    assert subjects(both) == b"ONE\xfe\xffTWO\xfe\xffTHREE\xfe\xff"
    assert read_terms(both.terms).field_place(len(FIELDS) - 1)[1] == len(both.postings)
    for other in (segment(3, b"three", fields=False), segment(3)):
        assert len(read_terms(at_once(joined_segments(both, other)).terms).fields) == 0
