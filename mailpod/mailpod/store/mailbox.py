"""One mailbox (folder) of an account as sessions read it; columns.py has what commits do to it.

A mailbox is a live object: sessions keep it, and its fields move on as commits are applied, or as the account is read
afresh (`adopt`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import compress
from typing import TypeVar

from ..errors import Damaged, Expunged
from .columns import SEEN, Columns, Move, Segment, StateBase
from .ops import PageRef
from .page import Page

__all__ = ["Changes", "Mailbox", "Move", "PageLoader", "Segment", "StateBase", "TableLoader"]

_T = TypeVar("_T")
_BLOCK = 1024  # messages

PageLoader = Callable[[PageRef, bool], Awaitable[Page]]
TableLoader = Callable[[PageRef], Awaitable[list[PageRef]]]
FindAgain = Callable[["Mailbox", PageRef, int], Awaitable[None]]
ReadAhead = Callable[[Sequence[PageRef], bool], None]
ScanRows = Callable[[Page, Sequence[int]], Awaitable[Sequence[int]]]


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened to messages that a session already knew: UIDs expunged, and UIDs whose flags changed, ascending."""

    vanished: Sequence[int]
    flagged: Sequence[int]


class Mailbox(Columns):
    """A folder of messages."""

    load_page: PageLoader
    load_table: TableLoader
    find_again: FindAgain
    read_ahead: ReadAhead
    scan_rows: ScanRows
    pages_ahead = 0  # how many pages `read_ahead` is told of

    def first_unseen(self) -> int | None:
        """The position of the first message without \\Seen."""
        if not self.unseen:
            return None
        first = len(self.flags)
        for index, flags in enumerate(self.flag_sets):
            if SEEN not in flags:
                with suppress(ValueError):
                    first = self.flags.index(index, 0, first)
        return first

    def changes_since(self, modseq: int) -> Changes | None:
        """What changed after `modseq`; None where that is no longer remembered and the caller compares in full."""
        if modseq < self._log_floor:
            return None
        vanished: list[int] = []
        parts: list[Sequence[int]] = []
        for seq, gone, changed in reversed(self._log):
            if seq <= modseq:
                break
            vanished.extend(gone)
            if changed:
                parts.append(changed)
        flagged = parts[0] if len(parts) == 1 else sorted(set[int]().union(*parts))
        if flagged and vanished:
            lost = set(vanished)
            flagged = [uid for uid in flagged if uid not in lost]
        return Changes(sorted(vanished), flagged)

    def modified_since(self, modseq: int) -> Sequence[int]:
        """UIDs, ascending, of the messages that are here and whose modseq is above `modseq`: O(changes) if few."""
        changes = self.changes_since(modseq)
        if changes is None:
            return self._compared(modseq)
        # Messages come at the end: those since then are a suffix, and what changed before it is remembered.
        start = len(self.uids)
        while start and self.modseqs[start - 1] > modseq:
            start -= 1
        early = changes.flagged[: bisect_left(changes.flagged, self.uids[start])] if start < len(self.uids) else None
        return [*(changes.flagged if early is None else early), *self.uids[start:]]

    def _compared(self, modseq: int) -> list[int]:
        out: list[int] = []
        for start in range(0, len(self.modseqs), _BLOCK):
            block = self.modseqs[start : start + _BLOCK]
            if max(block) > modseq:  # far cheaper than a comparison each, and true of few blocks
                out += compress(self.uids[start : start + _BLOCK], map(modseq.__lt__, block))
        return out

    def claim_recent(self) -> int:
        """The first UID that is \\Recent for the caller, and for nobody after (RFC 3501 §2.3.2).

        The mark joins the account's next commit: it is not worth one of its own, and a message that is \\Recent twice
        after a crash is what the RFC asks for in doubt.
        """
        first = self.recent
        if first < self.uidnext:
            self.recent = self.uidnext
            self.recent_dirty = True
        return first

    def peek_recent(self) -> int:
        return self.recent

    async def pages(
        self, uids: Sequence[int], *, damaged: list[int] | None = None, whole: bool = False, scanned: bool = True
    ) -> AsyncGenerator[tuple[Page, list[int]], None]:
        """The pages that hold `uids` (ascending), each with the rows wanted. UIDs that are gone are passed over.

        `whole`: the caller asks for ENVELOPE or BODYSTRUCTURE, so pages are read in one go. Not `scanned`: it asks for
        nothing that is found out of a message's bytes, so that may be missing (unscanned.py).

        Raises Damaged for a page, or the bytes of a message that must be read, that are not what was written; with
        `damaged` its UIDs are put there, and the others are given all the same. Raises Unavailable.
        """
        wanted = uids if isinstance(uids, array) else array("I", uids)
        if not wanted:
            return
        segments, at = self._segments_from(wanted[0])
        attempt = 0
        while at < len(segments):
            segment = segments[at]
            if segment.first > wanted[-1]:
                return
            low, high = bisect_left(wanted, segment.first), bisect_right(wanted, segment.last)
            at += 1
            if low == high:
                continue
            try:
                if segment.ref is not None and segment.ref.table:
                    inner = await self.load_table(segment.ref)
                    segments[at - 1 : at] = [Segment(ref.first, ref.last, ref) for ref in inner]
                    at -= 1
                    continue
                if self.pages_ahead:
                    self.read_ahead(_wanted_of(segments[at : at + self.pages_ahead], wanted), whole)
                page = segment.page if segment.page is not None else await self.load_page(_require(segment.ref), whole)
            except (Expunged, Damaged) as error:
                try:
                    if isinstance(error, Damaged):
                        raise
                    await self.find_again(self, _require(segment.ref), attempt)  # STORE.md rule 13
                except Damaged:
                    if damaged is None:
                        raise
                    damaged.extend(wanted[low:high])
                    continue
                wanted, attempt = wanted[low:], attempt + 1
                segments, at = self._segments_from(wanted[0])
                continue
            attempt = 0
            rows = _rows(page, wanted[low:high])
            if scanned and page.unscanned and (missing := page.unscanned.intersection(rows)):
                if lost := await self.scan_rows(page, sorted(missing)):
                    if damaged is None:
                        raise Damaged
                    damaged.extend(page.uids[row] for row in lost)
                rows = [row for row in rows if row not in page.unscanned]
            if rows:
                yield self.with_relocations(page), rows

    def _segments_from(self, uid: int) -> tuple[list[Segment], int]:
        segments = list(self.segments)
        return segments, bisect_left(segments, uid, key=lambda segment: segment.last)

    def with_relocations(self, page: Page) -> Page:
        if not self.relocated or not len(page):
            return page
        if not any(uid in self.relocated for uid in page.uids):
            return page
        twin = Page()
        twin.take(page, range(len(page)))
        self.settle_moves(twin)
        return twin

    def settle_moves(self, page: Page) -> None:
        """Put the relocated messages of a page of one's own where they are now (STORE.md rule 10)."""
        for row, uid in enumerate(page.uids):
            for old_key, old_offset, key, offset in self.relocated.get(uid, ()):
                at = page.location(row)
                if (at.key, at.offset) == (old_key, old_offset):
                    page.move(row, key, offset)

    # -- after the state was opened again

    def adopt(self, other: Mailbox) -> None:
        """Become `other`, the same mailbox read afresh; sessions that hold this object compare in full."""
        recent, dirty = max(self.recent, other.recent), self.recent_dirty
        self.__dict__.update(other.__dict__)
        self.recent, self.recent_dirty = recent, dirty
        self.forget_changes(self.highest_modseq)


def _require(value: _T | None) -> _T:
    assert value is not None
    return value


def _wanted_of(segments: Sequence[Segment], wanted: array[int]) -> list[PageRef]:
    """The metadata pages of those segments that have some of the UIDs."""
    return [
        segment.ref
        for segment in segments
        if segment.ref is not None
        and not segment.ref.table
        and bisect_left(wanted, segment.first) < bisect_right(wanted, segment.last)
    ]


def _rows(page: Page, wanted: array[int]) -> list[int]:
    if page.uids == wanted:
        return list(range(len(wanted)))
    low = bisect_left(page.uids, wanted[0])
    if page.uids[low : low + len(wanted)] == wanted:
        return list(range(low, low + len(wanted)))
    return [row for row in map(page.row, wanted) if row >= 0]
