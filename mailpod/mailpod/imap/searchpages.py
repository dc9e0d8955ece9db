"""SEARCH keys that a page answers: dates, sizes, cached header fields (RFC 3501 §6.4.4). No I/O.

Invariant: a test takes a page and rows, and gives a truth value a row; None means that the message must be read.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from mailpod.imap.derived import derive
from mailpod.imap.searchtext import Needle, encoded_fields
from mailpod.imap.sections import fields_of
from mailpod.imap.sortcolumns import thread_ids
from mailpod.imap.syntax_search import Age, DateKey, EmailId, Header, Size, ThreadId
from mailpod.mime.headers import CACHED_FIELDS, field_values
from mailpod.mime.text import parse_date
from mailpod.store.rows import take

if TYPE_CHECKING:
    from mailpod.store import Page

Test: TypeAlias = "Callable[[Page, Sequence[int]], Iterable[bool]]"
_EPOCH = datetime.date(1970, 1, 1)
_DAY = 86_400


def size_test(key: Size) -> Test:
    larger, n = key.op == "larger", key.n
    if larger:
        return lambda page, rows: [size > n for size in take(page.sizes, rows)]
    return lambda page, rows: [size < n for size in take(page.sizes, rows)]


def date_test(key: DateKey) -> Test:
    """INTERNALDATE and the Date field, each by its own zone: both "disregarding time and timezone"."""
    first, last = _days(key)
    if key.which == "internal":
        return lambda page, rows: [first <= day <= last for day in _internal_days(page, rows)]
    if key.which == "saved":
        return lambda page, rows: [first <= date // _DAY <= last for date in take(page.saved, rows)]

    def sent(page: Page, rows: Sequence[int]) -> list[bool]:
        days = derive(page, "sent", rows, lambda rows: list(map(_sent_day, take(page.fields, rows))))
        return [day is not None and first <= day <= last for day in days]

    return sent


def age_test(key: Age, now: float) -> Test:
    """RFC 5032 §2: a message just as old matches both."""
    then = int(now) - key.seconds
    if key.older:
        return lambda page, rows: [date <= then for date in take(page.dates, rows)]
    return lambda page, rows: [date >= then for date in take(page.dates, rows)]


def email_id_test(key: EmailId) -> Test:
    return lambda page, rows: [found == key.id for found in take(page.email_ids, rows)]


def thread_id_test(key: ThreadId) -> Test:
    return lambda page, rows: [found == key.id for found in thread_ids(page, rows)]


def header_test(key: Header) -> Test | None:
    """None for a field that pages do not keep and whose value matters."""
    name = key.name
    if name in CACHED_FIELDS:
        needle, names = Needle(key.value), frozenset((name,))

        def holds(page: Page, rows: Sequence[int]) -> list[bool]:
            encoded = derive(page, ("encoded", name), rows, lambda rows: encoded_fields(fields_of(page, names, rows)))
            return needle.in_column(fields_of(page, names, rows), encoded, name)

        return holds
    if not key.value:
        return lambda page, rows: has_field(name, page, rows)
    return None


def has_field(name: bytes, page: Page, rows: Sequence[int]) -> list[bool]:
    """Is the field, which pages do not keep, there at all?"""
    return [name in names.split(b" ") for names in take(page.names, rows)]


def _days(key: DateKey) -> tuple[float, float]:
    """First and last day since the epoch that match."""
    day = (key.date - _EPOCH).days
    if key.op == "before":
        return float("-inf"), day - 1
    return day, day if key.op == "on" else float("inf")


def _internal_days(page: Page, rows: Sequence[int]) -> Iterable[int]:
    dates, zones = take(page.dates, rows), take(page.zones, rows)
    if not any(zones):
        return [date // _DAY for date in dates]
    return [(date + 60 * zone) // _DAY for date, zone in zip(dates, zones, strict=True)]


def _sent_day(fields: bytes) -> int | None:
    values = field_values(fields, b"date")
    found = parse_date(values[0]) if values else None
    if found is None:
        return None
    seconds, zone = found
    return (seconds + zone * 60) // _DAY
