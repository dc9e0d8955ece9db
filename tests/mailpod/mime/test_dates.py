"""Date fields: RFC 5322's examples, its obsolete forms, and what other mailers write."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.mime.dates import parse_date


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, zone: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, second, tzinfo=timezone(timedelta(minutes=zone))).timestamp())


@pytest.mark.parametrize(
    ("value", "seconds", "zone"),
    [
        # RFC 5322 appendix A
        (b"Fri, 21 Nov 1997 09:55:06 -0600", utc(1997, 11, 21, 9, 55, 6, -360), -360),
        (b"Tue, 1 Jul 2003 10:52:37 +0200", utc(2003, 7, 1, 10, 52, 37, 120), 120),
        (b"Thu, 13 Feb 1969 23:32:54 -0330", utc(1969, 2, 13, 23, 32, 54, -210), -210),
        (
            b"Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n"
            b"               -0330 (Newfoundland Time)",
            utc(1969, 2, 13, 23, 32, 0, -210),
            -210,
        ),
        (b"21 Nov 97 09:55:06 GMT", utc(1997, 11, 21, 9, 55, 6), 0),
        (b"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", utc(1997, 11, 21, 9, 55, 6, -360), -360),
        # RFC 5322 §4.3
        (b"1 Jan 49 00:00 EST", utc(2049, 1, 1, 5), -300),
        (b"1 Jan 50 00:00 PDT", utc(1950, 1, 1, 7), -420),
        (b"1 Jan 102 00:00 A", utc(2002, 1, 1), 0),
        (b"31 Dec 2016 23:59:60 +0000", utc(2017, 1, 1), 0),
        # no RFC
        (b"1 Jan 2024", utc(2024, 1, 1), 0),
        (b"1 january 2024 10:00", utc(2024, 1, 1, 10), 0),
        (b"Mon, 1-Jan-2024 10:00:00 +01:00", utc(2024, 1, 1, 9), 60),
        (b"Mon, 1 Jan 2024 10:00:00.123 GMT+0100", utc(2024, 1, 1, 9), 60),
        (b"Mon, 1 Jan 2024 1:02 PM +0000", utc(2024, 1, 1, 13, 2), 0),
        (b"Mon, 1 Jan 2024 12:02:00 AM", utc(2024, 1, 1, 0, 2), 0),
        (b"Wed Jul 17 02:23:25 1996", utc(1996, 7, 17, 2, 23, 25), 0),
        (b"Wed Jul 17 02:23:25 PDT 1996", utc(1996, 7, 17, 2, 23, 25), 0),
        (b"2024-01-02T03:04:05+01:00", utc(2024, 1, 2, 2, 4, 5), 60),
        (b"2024-01-02 03:04:05", utc(2024, 1, 2, 3, 4, 5), 0),
        (b"1 Jan 2024 00:00:00 +9999", utc(2024, 1, 1), 0),
    ],
)
def test_dates(value: bytes, seconds: int, zone: int) -> None:
    assert parse_date(b" " + value) == (seconds, zone)


@pytest.mark.parametrize(
    "value",
    [b"", b"yesterday", b"31 Feb 2024 00:00:00 +0000", b"1 Jan 2024 25:00:00 +0000", b"0 Jan 2024", b"1 Foo 2024"],
)
def test_what_is_no_date(value: bytes) -> None:
    assert parse_date(value) is None


@given(st.datetimes(datetime(1950, 1, 1), datetime(9000, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_every_date_that_is_written_is_read(when: datetime, zone: int) -> None:
    when = when.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=zone)))
    assert parse_date(format_datetime(when).encode()) == (when.timestamp(), zone)


@given(st.one_of(st.binary(), st.text("0123456789 :+-,JanMonT()GP").map(str.encode)))
def test_anything_is_a_date_or_none(value: bytes) -> None:
    parse_date(value)
