"""Dates of RFC 3501 §9: date-time (INTERNALDATE, APPEND) and date (SEARCH). No clock is read here."""

from __future__ import annotations

import calendar
import datetime
import re
from typing import Final

MONTHS: Final = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_MONTH_NUMBERS: Final = {name.lower(): number for number, name in enumerate(MONTHS, 1)}
_DATE: Final = re.compile(rb"([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})")
_DATE_TIME: Final = re.compile(
    rb"([ 0-9][0-9]|[0-9])-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"
)
_LEAP_SECOND: Final = 60


def parse_date(text: bytes) -> datetime.date:
    """`d-Mon-yyyy`. Raises ValueError."""
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError("not a date like 1-Feb-2026")
    return _date(found[1], found[2], found[3])


def parse_date_time(text: bytes) -> tuple[int, int]:
    """`dd-Mon-yyyy hh:mm:ss +zzzz` as Unix seconds, and its zone in minutes east of UTC. Raises ValueError."""
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        raise ValueError('not a date-time like "01-Feb-2026 12:00:00 +0000"')
    day = _date(found[1], found[2], found[3])
    hour, minute, second = int(found[4]), int(found[5]), int(found[6])
    zone_hours, zone_minutes = int(found[8]), int(found[9])
    if hour > 23 or minute > 59 or second > _LEAP_SECOND or zone_minutes > 59:
        raise ValueError("no such time of day")
    zone = zone_hours * 60 + zone_minutes
    if found[7] == b"-":
        zone = -zone
    seconds = calendar.timegm((day.year, day.month, day.day, hour, minute, second))
    return seconds - 60 * zone, zone


def _date(day: bytes, month: bytes, year: bytes) -> datetime.date:
    number = _MONTH_NUMBERS.get(month.lower())
    if number is None:
        raise ValueError("no such month")
    return datetime.date(int(year), number, int(day))
