"""Evaluation of a SEARCH program on a view (RFC 3501 §6.4.4).

Invariants: a key is only asked about the messages that are still open, cheap keys first, so a message is read only if
everything else about it fits. Candidates are ascending positions. Between pages and between some messages the loop
runs on (`pause`, with the messages looked at since the last), which also ends the search of a client that went away.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from itertools import compress
from typing import TYPE_CHECKING, Final, TypeVar

from pyroaring import BitMap

from mailpod.errors import Damaged, Expunged
from mailpod.imap.fetchbody import PageSections, Reader
from mailpod.imap.fetchwire import positions_of, row_uids
from mailpod.imap.lexer import BadCommand
from mailpod.imap.likening import likened
from mailpod.imap.remembered import remembered
from mailpod.imap.searchpages import (
    Test,
    age_test,
    date_test,
    email_id_test,
    has_field,
    header_test,
    size_test,
    thread_id_test,
)
from mailpod.imap.searchtext import Needle
from mailpod.imap.sections import Section
from mailpod.imap.sequence import existing, resolve
from mailpod.imap.syntax_search import (
    Age,
    All,
    And,
    Body,
    DateKey,
    EmailId,
    Flag,
    Fuzzy,
    Header,
    Modseq,
    Not,
    Or,
    Recent,
    SearchKey,
    Seq,
    Size,
    Text,
    ThreadId,
    Uid,
)
from mailpod.imap.view import View
from mailpod.mime.likeness import EXACT
from mailpod.store import distinct

if TYPE_CHECKING:
    from mailpod.net.budget import Budget
    from mailpod.store import Page, Where

Positions = Sequence[int]
_T = TypeVar("_T")
_HEADER: Final = Section(b"", (), "HEADER")
_MESSAGES: Final = 16  # read between two pauses
_SPARSE: Final = 8  # of fewer messages, one in so many, each is looked up


def cost(key: SearchKey) -> int:
    """In about which order keys are asked."""
    match key:
        case Body() | Text():
            return 100
        case Header():
            return 10 if header_test(key) is not None else 50
        case DateKey(which):
            return 8 if which == "sent" else 5
        case Size() | Age() | EmailId() | ThreadId():
            return 5
        case And(keys):
            return max(map(cost, keys))
        case Or(a, b):
            return max(cost(a), cost(b))
        case Not(inner):
            return cost(inner)
        case Fuzzy(inner):
            return 2 * cost(inner) + 10
        case Flag() | Modseq():
            return 1
    return 0


class Search:
    """One program on one view."""

    def __init__(self, view: View, budget: Budget, pause: Callable[[int], Awaitable[None]], now: float) -> None:
        self._view = view
        self._budget = budget
        self._pause = pause
        self._now = now  # for OLDER and YOUNGER
        self._scores: dict[int, list[int]] = {}  # by position, one of each FUZZY key that was asked

    @property
    def view(self) -> View:
        return self._view

    async def run(self, key: SearchKey, among: Positions | None = None) -> Positions:
        """Positions of the messages that match, of those at `among` (ascending) or all. Raises what reading raises,
        but Expunged and Damaged."""
        return await self._among(key, range(self._view.exists) if among is None else among)

    def relevancy(self, position: int) -> int:
        """1 to 100: of a message found by FUZZY keys, the mean of what each says (RFC 6203 §4)."""
        scores = self._scores.get(position)
        return sum(scores) // len(scores) if scores else EXACT

    async def _fuzzily(self, key: SearchKey, open_: Positions) -> Positions:
        """RFC 6203 §5: of keys without a string we find what they say, and so of NOT."""
        match key:
            case And(keys):
                for each in sorted(keys, key=cost):
                    open_ = await self._fuzzily(each, open_)
                return open_
            case Or(a, b):
                first = await self._fuzzily(a, open_)
                return sorted((*first, *await self._fuzzily(b, _minus(open_, first))))
            case Fuzzy(inner):
                return await self._fuzzily(inner, open_)
        found = await self._among(key, open_)
        scores = dict.fromkeys(found, EXACT)
        if isinstance(key, Header | Body | Text):
            scores |= await likened(self, key, _minus(open_, found))
        for position, score in scores.items():
            self._scores.setdefault(position, []).append(score)
        return sorted(scores)

    async def _among(self, key: SearchKey, open_: Positions) -> Positions:
        if not open_:
            return open_
        match key:
            case All():
                return open_
            case And(keys):
                for each in sorted(keys, key=cost):
                    open_ = await self._among(each, open_)
                return open_
            case Or(a, b):
                first, second = sorted((a, b), key=cost)
                found = await self._among(first, open_)
                return sorted((*found, *await self._among(second, _minus(open_, found))))
            case Not(inner):
                return _minus(open_, await self._among(inner, open_))
            case Fuzzy(inner):
                return await self._fuzzily(inner, open_)
            case Seq(wanted):
                return _within(open_, existing(wanted, self._view))
            case Uid(wanted):
                return _within(open_, resolve(wanted, self._view, uid=True))
            case Recent(present):
                if self._view.enabled.rev2:
                    raise BadCommand("IMAP4rev2 has no RECENT, NEW and OLD")  # RFC 9051 App. E
                recent = _within(open_, list(self._view.recent_positions()))
                return recent if present else _minus(open_, recent)
            case Modseq(n):
                return list(compress(open_, (modseq >= n for modseq in self._column(View.modseq_column, open_))))
            case Flag(flag, present):
                return self._flagged(flag.lower(), present, open_)
            case Size():
                return await self._by_page(size_test(key), open_, scanned=False)
            case Age():
                return await self._by_page(age_test(key, self._now), open_, scanned=False)
            case ThreadId():
                return await self._by_page(thread_id_test(key), open_)
            case EmailId():
                return await self._by_page(email_id_test(key), open_, scanned=False)
            case DateKey(which):
                return await self._by_page(date_test(key), open_, scanned=which == "sent")
            case Header(name, value):
                if (test := header_test(key)) is not None:
                    return await (self._by_field(key, test, open_) if value else self._by_page(test, open_))
                return await self._by_text(Needle(value), "header", open_, name)
            case Body(value):
                return await self._by_text(Needle(value), "body", open_)
            case Text(value):
                return await self._by_text(Needle(value), "text", open_)

    def _flagged(self, flag: str, present: bool, open_: Positions) -> Positions:
        wanted = [any(flag == each.lower() for each in flags) is present for flags in self._view.flag_sets()]
        column = self._column(View.flag_column, open_)
        there = {wanted[index] for index in distinct(column)}
        if len(there) == 1:
            return open_ if there.pop() else []
        return list(compress(open_, map(wanted.__getitem__, column)))

    def _column(
        self, column_of: Callable[[View, range], array[int] | list[int]], open_: Positions
    ) -> array[int] | list[int]:
        """A column of the view at these positions, of which there are some."""
        column = column_of(self._view, range(open_[0], open_[-1] + 1))
        return column if len(column) == len(open_) else [column[position - open_[0]] for position in open_]

    def uids(self, open_: Positions) -> array[int]:
        uids = self._view.uids
        return (
            uids[: self._view.exists] if len(open_) == self._view.exists else array("I", map(uids.__getitem__, open_))
        )

    async def pages(
        self, open_: Positions, *, counted: bool = True, whole: bool = False, scanned: bool = True
    ) -> AsyncIterator[tuple[Page, Sequence[int], Positions]]:
        """The pages with these messages: rows, and the positions they have. What is gone or damaged is passed over."""
        async for page, rows in self._view.mailbox.pages(self.uids(open_), damaged=[], whole=whole, scanned=scanned):
            parts = positions_of(self._view, row_uids(page, rows))
            yield page, rows, parts[0] if len(parts) == 1 else [at for part in parts for at in part]
            await self._pause(len(rows) if counted else 0)

    async def _by_page(self, test: Test, open_: Positions, *, scanned: bool = True) -> Positions:
        """Not `scanned`: the test asks for nothing that is found out of a message's bytes."""
        out: list[int] = []
        async for page, rows, positions in self.pages(open_, scanned=scanned):
            out += compress(positions, test(page, rows))
        return out

    async def _by_field(self, key: Header, test: Test, open_: Positions) -> Positions:
        """A header field that pages keep; what was found out before is not compared again."""
        view, mapped = self._view, Needle(key.value).mapped
        known = remembered(view.mailbox, ("field", key.name), mapped)
        uids = BitMap(self.uids(open_))
        if unknown := uids - known.asked:
            narrowed = await view.account.in_field(view.mailbox, key.name, mapped, array("I", unknown))
            known.asked.update(unknown - narrowed.left)
            known.found.update(narrowed.found)
            async for page, rows, positions in self.pages(self._positions(narrowed.left)):
                read = list(map(view.uids.__getitem__, positions))
                known.asked.update(read)
                known.found.update(compress(read, test(page, rows)))
        return self._positions(uids & known.found)

    def _positions(self, uids: BitMap) -> Positions:
        """Of messages that the view has."""
        view = self._view
        if len(uids) * _SPARSE < view.exists:
            return [view.seq_of(uid) - 1 for uid in uids]
        return list(compress(range(view.exists), map(uids.__contains__, view.uids[: view.exists])))

    async def _by_text(self, needle: Needle, where: Where, open_: Positions, name: bytes = b"") -> Positions:
        """BODY, TEXT, and a header field `name` that pages do not keep; what was found out before is not read again."""
        view = self._view
        known = remembered(view.mailbox, (where, name), needle.mapped)
        uids = BitMap(self.uids(open_))
        if unknown := uids - known.asked:
            narrowed = await view.account.narrow(view.mailbox, needle.mapped, array("I", unknown), where)
            known.asked.update(unknown - narrowed.left)
            known.found.update(narrowed.found)
            positions = self._positions(narrowed.left)
            if name:
                read = self.read_headers(lambda raw: needle.in_fields(raw, name), name, positions)
            else:
                headers = where == "text"
                read = self.read(lambda data, parts, size: needle.in_message(data, parts, size, headers), positions)
            async with aclosing(read):
                async for position, holds in read:
                    uid = view.uids[position]
                    known.asked.add(uid)
                    if holds:
                        known.found.add(uid)
        return self._positions(uids & known.found)

    async def read_headers(
        self, judge: Callable[[bytes], _T], name: bytes, open_: Positions
    ) -> AsyncGenerator[tuple[int, _T], None]:
        """Positions, and what `judge` says of the headers there. Pages say which messages have the field."""
        async for page, rows, positions in self.pages(open_):
            there = has_field(name, page, rows)
            rows, positions = list(compress(rows, there)), list(compress(positions, there))
            async with aclosing(PageSections([_HEADER], page, rows).read(self._view.account, self._budget)) as headers:
                at = 0
                async for values in headers:
                    if isinstance(values, list):
                        yield positions[at], judge(values[0] or b"")
                    at += 1

    async def read(
        self, judge: Callable[[bytes, Sequence[int], int], _T], open_: Positions
    ) -> AsyncGenerator[tuple[int, _T], None]:
        """The same of whole messages, their parts and the size of their header."""
        async for page, rows, positions in self.pages(open_, counted=False):
            reader = Reader(self._view.account, self._budget, page.locations(rows))
            async with aclosing(reader):
                for read, (row, position) in enumerate(zip(rows, positions, strict=True), 1):
                    try:
                        data = await reader.next()
                    except (Expunged, Damaged):
                        continue
                    yield position, judge(data, page.parts[row], page.header_sizes[row])
                    if read % _MESSAGES == 0:
                        await self._pause(_MESSAGES)


def _minus(open_: Positions, found: Positions) -> Positions:
    if not found:
        return open_
    gone = set(found)
    return [position for position in open_ if position not in gone]


def _within(open_: Positions, parts: Sequence[range]) -> Positions:
    out: list[int] = []
    for part in parts:
        low = bisect_left(open_, part.start)
        out += open_[low : bisect_left(open_, part.stop, low)]
    return out
