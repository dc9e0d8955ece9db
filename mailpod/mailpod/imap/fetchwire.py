"""FETCH responses from a page's columns (RFC 3501 §7.4.2).

Invariants: a response is laid out as columns, one entry a message, and all messages of a piece are joined at once:
nothing is done a message at a time where a column will do (TARGETS.md). Rows are ascending and part of the view.
"""

from __future__ import annotations

import datetime
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from mailpod.imap.dates import MONTHS
from mailpod.imap.flagwire import with_recent
from mailpod.imap.sets import runs
from mailpod.imap.sortcolumns import thread_ids
from mailpod.imap.view import View
from mailpod.mime.revisions import structures_for
from mailpod.mime.sections import body_from_bodystructure
from mailpod.store.rows import take

if TYPE_CHECKING:
    from mailpod.store import Page

_DAY: Final = 86_400
_EPOCH: Final = datetime.date(1970, 1, 1).toordinal()


class Lines:
    """`count` responses being laid out.

    Constant text and numbers are held back until a column of text needs them, and then formatted together.
    """

    __slots__ = ("_columns", "_count", "_format", "_numbers", "spaced")

    def __init__(self, sequence: Sequence[int], name: str = "FETCH") -> None:
        self._count = len(sequence)
        self._columns: list[Iterable[bytes]] = []
        self._format = b"* "
        self._numbers: list[Iterable[int]] = []
        self.spaced = True  # the next item needs no space before it
        self.numbers(sequence)
        self.text(b" %b (" % name.encode("ascii"))

    def item(self, name: bytes) -> None:
        """Begin an item: its name, and the space before it."""
        self.text(name if self.spaced else b" " + name)
        self.spaced = False

    def some(self, items: Sequence[bytes]) -> None:
        """Items that not every message has: b"" where it has none, else a space after them. Another item follows."""
        if not self.spaced:
            self.text(b" ")
        self.column(items)
        self.spaced = True

    def text(self, constant: bytes) -> None:
        self._format += constant.replace(b"%", b"%%")

    def numbers(self, values: Iterable[int]) -> None:
        self._format += b"%d"
        self._numbers.append(values)

    def column(self, values: Sequence[bytes]) -> None:
        self._flush()
        self._columns.append(values)

    def _flush(self) -> None:
        numbers, self._numbers = self._numbers, []
        made, self._format = self._format, b""
        if len(numbers) == 1:
            self._columns.append(map(made.__mod__, numbers[0]))
        elif numbers:
            self._columns.append(map(made.__mod__, zip(*numbers, strict=True)))
        elif made:
            self._columns.append([made % ()] * self._count)

    def literals(self, values: Sequence[bytes]) -> None:
        """A column of literals, not empty ones."""
        self.text(b" {")
        self.numbers(map(len, values))
        self.text(b"}\r\n")
        self.column(values)

    def flat(self) -> list[bytes]:
        """All pieces in order, to be joined; no more can be added."""
        self._flush()
        width = len(self._columns)
        out = [b""] * (width * self._count)
        for at, column in enumerate(self._columns):
            out[at::width] = column
        return out

    def each(self) -> list[bytes]:
        """One piece a message."""
        pieces = self.flat()
        width = len(self._columns)
        if width == 1:
            return pieces
        return [b"".join(pieces[at : at + width]) for at in range(0, len(pieces), width)]


def row_uids(page: Page, rows: Sequence[int]) -> array[int]:
    """UIDs of these rows, ascending."""
    uids = page.uids[rows[0] : rows[-1] + 1]
    return uids if len(uids) == len(rows) else array("I", map(page.uids.__getitem__, rows))


def positions_of(view: View, uids: array[int]) -> list[range]:
    """Where these messages (ascending, all in the view) stand in it."""
    start = bisect_left(view.uids, uids[0], 0, view.exists)
    if view.uids[start : start + len(uids)] == uids:
        return [range(start, start + len(uids))]
    return runs([view.seq_of(uid) - 1 for uid in uids])


def flags_of(view: View, positions: Iterable[range]) -> list[bytes]:
    """FLAGS of each message without parentheses, \\Recent included."""
    table = view.flag_table()
    recent = with_recent(table)
    out: list[bytes] = []
    for part in positions:
        for piece, is_recent in view.by_recency(part):
            out += map((recent if is_recent else table).__getitem__, view.flag_column(piece))
    return out


def modseqs_of(view: View, positions: Iterable[range]) -> list[int]:
    """MODSEQ of each message."""
    return [modseq for part in positions for modseq in view.modseq_column(part)]


def add_metadata(
    lines: Lines,
    names: Iterable[str],
    page: Page,
    rows: Sequence[int],
    flags: Sequence[bytes],
    modseqs: Sequence[int],
    *,
    rev2: bool,
) -> None:
    """The columns of the items `names` that are no sections."""
    for name in names:
        lines.item(name.encode("ascii"))
        if name == "FLAGS":
            lines.text(b" (")
            lines.column(flags)
            lines.text(b")")
        elif name == "MODSEQ":
            lines.text(b" (")
            lines.numbers(modseqs)
            lines.text(b")")
        elif name in ("BODY", "BODYSTRUCTURE"):
            lines.text(b" ")
            structures = structures_for(take(page.structures, rows), rev2=rev2)
            lines.column(list(map(body_from_bodystructure, structures)) if name == "BODY" else structures)
        else:
            lines.text(b" ")
            _ADD[name](lines, page, rows)


def internal_dates(page: Page, rows: Sequence[int]) -> Iterable[bytes]:
    """INTERNALDATE in the zone in which it was given."""
    dates, zones = take(page.dates, rows), take(page.zones, rows)
    if not any(zones):
        return date_times(dates)
    local = date_times([date + 60 * zone for date, zone in zip(dates, zones, strict=True)])
    return [b'%b%b"' % (text[:-6], _zone(zone)) for text, zone in zip(local, zones, strict=True)]


def _zone(minutes: int) -> bytes:
    return b"%c%02d%02d" % (b"-" if minutes < 0 else b"+", *divmod(abs(minutes), 60))


def date_times(dates: Iterable[int]) -> Iterator[bytes]:
    """RFC 3501 §9 date-time, in UTC: `"17-Jul-1996 02:44:25 +0000"`."""
    days: dict[int, bytes] = {}
    for date in dates:
        day, seconds = divmod(date, _DAY)
        start = days.get(day)
        if start is None:
            start = days[day] = _day(day)
        minutes, second = divmod(seconds, 60)
        yield b'%b %02d:%02d:%02d +0000"' % (start, *divmod(minutes, 60), second)


def _day(day: int) -> bytes:
    """`"17-Jul-1996` of a day since the epoch, brought into the years 1 to 9999."""
    date = datetime.date.fromordinal(min(max(_EPOCH + day, 1), datetime.date.max.toordinal()))
    return b'"%2d-%b-%04d' % (date.day, MONTHS[date.month - 1], date.year)


_ADD: Final[dict[str, Callable[[Lines, Page, Sequence[int]], None]]] = {
    "UID": lambda lines, page, rows: lines.numbers(take(page.uids, rows)),
    "RFC822.SIZE": lambda lines, page, rows: lines.numbers(take(page.sizes, rows)),
    "INTERNALDATE": lambda lines, page, rows: lines.column(list(internal_dates(page, rows))),
    # RFC 8514 §4.2; RFC 8474 §5.1, §5.2
    "SAVEDATE": lambda lines, page, rows: lines.column(list(date_times(take(page.saved, rows)))),
    "EMAILID": lambda lines, page, rows: lines.column([b"(%b)" % each for each in take(page.email_ids, rows)]),
    "THREADID": lambda lines, page, rows: lines.column([b"(%b)" % each for each in thread_ids(page, rows)]),
    "ENVELOPE": lambda lines, page, rows: lines.column(take(page.envelopes, rows)),
}
