"""INTERNALDATE keeps the zone in which APPEND gave it, and the day in that zone is what SEARCH compares."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mailpod.imap.selected import Desk, desk, letter

from mailpod.checksum import checksum
from mailpod.imap.dates import parse_date_time
from mailpod.imap.fetchwire import internal_dates
from mailpod.store.page import META, Page, decode_meta, encode_meta, seal, unseal

ZONES = ("+0200", "-0030", "+1400", "+0545", "-1130", "+0000")
GIVEN = [f'INTERNALDATE "25-Mar-2007 00:00:01 {zone}"'.encode() for zone in ZONES]


@pytest.fixture
async def at() -> AsyncIterator[Desk]:
    async with desk(copy_inline_messages=2) as found:
        ann = found.select()
        for zone in ZONES:
            assert b"OK [APPENDUID" in await ann.say(f'APPEND INBOX "25-Mar-2007 00:00:01 {zone}"', letter(zone))
        yield found


async def dates(at: Desk, mailbox: str) -> list[bytes]:
    answer = await at.select(mailbox).say("FETCH 1:* INTERNALDATE")
    return [line.partition(b"(")[2].removesuffix(b")") for line in answer.splitlines() if line.startswith(b"* ")]


@pytest.mark.parametrize("numbers", ["1:*", "1:2"], ids=["in pages", "in records"])
async def test_the_zone_is_kept_through_copies_and_checkpoints(at: Desk, numbers: str) -> None:
    assert await dates(at, "INBOX") == GIVEN
    await at.select().say(f"COPY {numbers} Archive")
    copied = GIVEN if numbers == "1:*" else GIVEN[:2]
    assert await dates(at, "Archive") == copied
    assert await at.store.checkpoint(at.account)
    pod = await at.other_pod()
    assert (await dates(pod, "INBOX"), await dates(pod, "Archive")) == (GIVEN, copied)
    await pod.close()


@pytest.mark.parametrize(
    ("program", "found"),
    [
        ("ON 25-Mar-2007", b" 1 2 3 4 5 6"),  # RFC 3501 §6.4.4: disregarding time and timezone
        ("SINCE 25-Mar-2007", b" 1 2 3 4 5 6"),
        ("BEFORE 25-Mar-2007", b""),
        ("SINCE 26-Mar-2007", b""),
        ("BEFORE 26-Mar-2007", b" 1 2 3 4 5 6"),
    ],
)
async def test_days_are_those_of_the_zone(at: Desk, program: str, found: bytes) -> None:
    assert (await at.select().say(f"SEARCH {program}")).startswith(b"* SEARCH" + found + b"\r\n")


async def test_instants_are_in_order_whatever_their_zones(at: Desk) -> None:
    """RFC 5256 §3: ARRIVAL is by date and time."""
    assert (await at.select().say("SORT (ARRIVAL) UTF-8 ALL")).startswith(b"* SORT 3 4 1 6 2 5\r\n")


@given(st.lists(st.tuples(st.integers(0, 4_000_000_000), st.integers(-5_999, 5_999)), min_size=1, max_size=4))
def test_a_date_is_read_as_it_is_written(given: list[tuple[int, int]]) -> None:
    page = Page()
    for seconds, zone in given:
        page.dates.append(seconds)
        page.zones.append(zone)
    assert [parse_date_time(text.strip(b'"')) for text in internal_dates(page, range(len(given)))] == given


def test_a_page_without_zones_is_in_utc() -> None:
    """What a pod wrote that did not know zones (FORMAT.md, "A record")."""
    page = Page()
    page.uids.append(7)
    page.dates.append(0)
    page.zones.append(60)
    raw = encode_meta(page)
    assert decode_meta(raw, checksum(raw)).zones.tolist() == [60]
    old = msgspec.msgpack.decode(unseal(META, raw, None))
    del old["zones"]
    raw = seal(META, old)
    assert decode_meta(raw, checksum(raw)).zones.tolist() == [0]
