"""A page's columns are the same whether they were asked for or not."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.checksum import checksum
from mailpod.errors import Damaged
from mailpod.store.ops import Record
from mailpod.store.page import META, BadPage, Page, decode_meta, encode_meta, seal, unseal

PLAIN = Record(date=0, saved=0, size=9, loc=("", 0, 9), sum="0" * 32, hs=9, env="NIL", bs="NIL")
COLUMNS = ("envelopes", "structures", "fields", "names", "parts", "email_ids")
octets = st.binary(max_size=20).map(lambda raw: raw.decode("latin-1"))
records = st.builds(
    Record,
    date=st.integers(-(2**40), 2**40),
    saved=st.integers(0, 2**40),
    size=st.integers(0, 2**40),
    loc=st.tuples(st.just(""), st.just(0), st.integers(0, 2**40)),
    sum=st.binary(min_size=16, max_size=16).map(bytes.hex),
    hs=st.integers(0, 2**20),
    env=octets,
    bs=octets,
    hdr=octets,
    other=octets,
    parts=st.lists(st.integers(0, 2**32), max_size=10).map(tuple),
    zone=st.integers(-720, 720),
)


def page_of(messages: list[Record]) -> Page:
    page = Page()
    add(page, messages)
    return page


def add(page: Page, messages: list[Record]) -> None:
    for uid, record in enumerate(messages, len(page) + 1):
        page.extend([uid], [record], [(f"log/{uid % 3}", uid)], [b"M%d" % uid])


def rows(page: Page) -> list[tuple[object, ...]]:
    return [(page.record(row, saved=page.saved[row]), page.location(row), page.uids[row]) for row in range(len(page))]


@given(st.lists(records, max_size=6), st.lists(records, max_size=3), st.sets(st.sampled_from(COLUMNS)), st.booleans())
def test_columns_asked_for_or_not(messages: list[Record], more: list[Record], asked: set[str], whole: bool) -> None:
    made = page_of(messages)
    data = encode_meta(made)
    read = decode_meta(data, checksum(data), whole=whole)
    assert read.weight == decode_meta(data, checksum(data)).weight
    for name in asked:
        assert getattr(read, name) == getattr(made, name)
    assert encode_meta(read) == data
    twin = read.shifted(7)
    assert [page.uids[0] for page in (twin, read) if messages] == ([8, 1] if messages else [])
    add(read, more)
    assert rows(read) == rows(page_of(messages + more))


def test_a_column_that_was_written_wrongly() -> None:
    data = encode_meta(page_of([]))
    content = msgspec.msgpack.decode(unseal(META, data, None))
    wrong = seal(META, content | {"hdr": [1, 2]})
    page = decode_meta(wrong, checksum(wrong))
    assert page.envelopes == []
    with pytest.raises(Damaged):
        page.fields  # noqa: B018


@pytest.mark.parametrize("asked", [True, False])
def test_fields_are_chosen_from_the_column_as_it_is_written(asked: bool) -> None:
    headers = [f"To: {number}\r\nSubject: {'x' * number}\r\n" for number in range(300)]
    found = [msgspec.structs.replace(PLAIN, hdr=header) for header in headers]
    data = encode_meta(page_of(found))
    page = decode_meta(data, checksum(data), whole=False)
    if asked:
        assert page.fields[299] == headers[299].encode()
    subjects = [b"Subject: %b\r\n\r\n" % (b"x" * number) for number in range(300)]
    assert page.chosen(frozenset({b"subject"}), range(300)) == subjects
    assert page.chosen(frozenset({b"subject", b"to"}), [7, 299]) == [headers[at].encode() + b"\r\n" for at in (7, 299)]
    add(page, found[:1])
    assert page.chosen(frozenset({b"subject"}), range(301)) is None  # a row of which nothing is said


LATER = {"head", "lines"}  # what older versions do not know


@given(records, st.sampled_from([1, 250]), st.booleans())
def test_pages_of_and_for_older_versions(message: Record, times: int, whole: bool) -> None:
    """They take what they know from the map, in whatever order it is there, and write no more."""
    made = page_of([msgspec.structs.replace(message, hdr="Subject: x\r\n")] * times)
    content = msgspec.msgpack.decode(unseal(META, encode_meta(made), None))
    assert (content["lines"] is not None) == (times > 1)
    older = seal(META, {name: content[name] for name in sorted(content.keys() - LATER)})
    read = decode_meta(older, checksum(older), whole=whole)
    assert rows(read) == rows(made) and read.lines is None


def test_what_is_read_last_was_written_wrongly() -> None:
    data = encode_meta(page_of([]))
    content = msgspec.msgpack.decode(unseal(META, data, None))
    wrong = seal(META, content | {"env": [1]})
    page = decode_meta(wrong, checksum(wrong), whole=False)
    assert page.fields == page.structures == []
    with pytest.raises(Damaged):
        page.envelopes  # noqa: B018


@pytest.mark.parametrize("head", [0, 16, 17, 200, 2**32 - 1])
def test_a_page_that_says_wrongly_what_is_read_first(head: int) -> None:
    content = msgspec.msgpack.decode(unseal(META, encode_meta(page_of([])), None))
    wrong = seal(META, content | {"head": head.to_bytes(4, "little")})
    with pytest.raises(BadPage):
        decode_meta(wrong, checksum(wrong), whole=False)


@given(st.lists(records, max_size=6), st.sets(st.integers(0, 5)))
def test_rows_that_lie_together_go_to_another_page_as_others_do(messages: list[Record], some: set[int]) -> None:
    source = page_of(messages)
    wanted = sorted(row for row in some if row < len(messages))
    together, apart = page_of([]), page_of([])
    together.take(source, wanted)
    for row in wanted:
        apart.take(source, [row])
    assert rows(together) == rows(apart) == [rows(source)[row] for row in wanted]
    assert encode_meta(together) == encode_meta(apart)
