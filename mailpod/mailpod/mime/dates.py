"""Dates of the Date field (RFC 5322 §3.3, its obsolete forms of §4.3, and what mail has in their place)."""

from __future__ import annotations

import re
from calendar import timegm
from datetime import date

from mailpod.mime.params import skip_comment

_MONTHS = {name: n for n, name in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
# RFC 5322 §4.3: the only alphabetic zones with a meaning; others count as -0000
_ZONES = {
    b"EST": -300,
    b"EDT": -240,
    b"CST": -360,
    b"CDT": -300,
    b"MST": -420,
    b"MDT": -360,
    b"PST": -480,
    b"PDT": -420,
}
_LONGEST = 1000  # octets looked at

_TIME = rb"(\d{1,2})\s*[:.]\s*(\d{1,2})(?:\s*[:.]\s*(\d{1,2})(?:[.,]\d+)?)?(?:\s*([AaPp])\.?[Mm]\b\.?)?"
_ZONE = rb"(?:\s*(?:GMT|UTC?)?([+-])\s*(\d{1,2}):?(\d{2})|\s*([A-Za-z]{1,5}))?"
_MONTH = rb"((?i:" + b"|".join(_MONTHS) + rb"))[A-Za-z]*"
_RFC5322 = re.compile(rb"(\d{1,2})[\s.-]+" + _MONTH + rb"[\s,.-]+(\d{2,4})(?:[\s,T-]+" + _TIME + _ZONE + rb")?")
_ASCTIME = re.compile(rb"\b" + _MONTH + rb"\s+(\d{1,2})[\s,]+" + _TIME + rb"\s+(?:[A-Z]{3,4}\s+)?(\d{4})" + _ZONE)
_ISO = re.compile(rb"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T\s]+" + _TIME + _ZONE + rb")?")


def parse_date(value: bytes) -> tuple[int, int] | None:
    """A raw Date value as (Unix seconds UTC, the zone's minutes east of UTC), or None where it is no date.

    Without a zone, or with one that says nothing, it counts as UTC. The day that SENTON and its like compare is that
    of seconds + zone * 60. Never raises.
    """
    value = _without_comments(value[:_LONGEST])
    if found := _RFC5322.search(value):
        day, month, year, *clock = found.groups()
        return _moment(year, _MONTHS.get(month.lower()), day, clock)
    if found := _ASCTIME.search(value):
        month, day, hour, minute, second, half, year, *zone = found.groups()
        return _moment(year, _MONTHS.get(month.lower()), day, [hour, minute, second, half, *zone])
    if found := _ISO.search(value):
        year, month, day, *clock = found.groups()
        return _moment(year, int(month), day, clock)
    return None


def _without_comments(value: bytes) -> bytes:
    at = value.find(b"(")
    while at >= 0:
        value = value[:at] + b" " + value[skip_comment(value, at) :]
        at = value.find(b"(", at)
    return value


def _moment(year: bytes, month: int | None, day: bytes, clock: list[bytes | None]) -> tuple[int, int] | None:
    hour, minute, second, half, sign, zone_hour, zone_minute, zone_name = clock
    h, m, s = int(hour or 0), int(minute or 0), int(second or 0)
    if half and 1 <= h <= 12:
        h = h % 12 + (12 if half in b"Pp" else 0)
    if month is None or h > 23 or m > 59 or s > 60:
        return None
    try:
        when = date(_full_year(year), month, int(day))
    except ValueError:
        return None
    zone = _ZONES.get((zone_name or b"").upper(), 0)
    if sign:
        zone = _offset(sign, int(zone_hour or 0), int(zone_minute or 0))
    return timegm((when.year, when.month, when.day, h, m, s)) - zone * 60, zone


def _full_year(year: bytes) -> int:
    """RFC 5322 §4.3: two digits up to 49 are of this century, others and three digits count from 1900."""
    number = int(year)
    if len(year) == 2:
        return number + (2000 if number < 50 else 1900)
    return number + 1900 if len(year) == 3 else number


def _offset(sign: bytes, hours: int, minutes: int) -> int:
    if hours > 24 or minutes > 59:
        return 0  # RFC 5322 §3.3 allows no such zone: as -0000
    return (hours * 60 + minutes) * (-1 if sign == b"-" else 1)
