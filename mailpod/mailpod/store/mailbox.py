"""One mailbox (folder) of an account, as the commits up to the account's head make it.

- `uids`, `flags`, `modseqs` and `sizes` are aligned. An append extends the array objects in place; an expunge puts new
  ones in their place, so that (uids, count) is a snapshot that stays true for whoever holds it.
- Only state.py changes a mailbox, and only by applying a commit: everything here is a pure function of the log, but for
  `change log`, `overlay` and `segments`, which say what is remembered, not what is so.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from ..errors import Damaged
from .ops import PageRef, Record
from .page import GONE, Page

SEEN = "\\Seen"
_SYSTEM = {name.lower(): name for name in ("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft")}

_T = TypeVar("_T")

Move = tuple[str, int, str, int]  # old key and offset, new key and offset: applies while the old ones are current
PageLoader = Callable[[PageRef], Awaitable[Page]]
TableLoader = Callable[[PageRef], Awaitable[list[PageRef]]]


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened to messages that a session already knew: UIDs expunged, and UIDs whose flags changed."""

    vanished: list[int]
    flagged: list[int]


@dataclass(slots=True)
class Segment:
    """Metadata of the UIDs first to last: a page in the bucket, a table of pages, or one still only in memory."""

    first: int
    last: int
    ref: PageRef | None = None
    page: Page | None = None
    sealed: bool = False  # a checkpoint is being made of it: new messages go to the next segment


@dataclass(slots=True)
class StateBase:
    """The state pages that the newest checkpoint known to this pod names, and the UIDs changed since they were cut."""

    refs: list[PageRef] = field(default_factory=list)
    overlay: set[int] = field(default_factory=set)
    dirty: list[tuple[int, int]] = field(default_factory=list)  # ranges of UIDs with too many changes to list
    covering: int = 0  # the last UID that the state pages of a checkpoint now being written cover

    @property
    def through(self) -> int:
        """The last UID that the state pages cover."""
        return self.refs[-1].last if self.refs else 0


class Mailbox:
    """A live object: sessions keep it, and its fields move on as commits are applied."""

    def __init__(self, box: int, name: str, uidvalidity: int, object_id: str, use: str | None = None) -> None:
        self.id = box
        self.name = name
        self.uidvalidity = uidvalidity
        self.object_id = object_id
        self.special_use = use
        self.deleted = False
        self.uidnext = 1
        self.highest_modseq = 1
        self.unseen = 0
        self.bytes = 0
        self.uids = array("I")
        self.flags = array("I")
        self.modseqs = array("Q")
        self.sizes = array("I")
        self.flag_sets: list[frozenset[str]] = [frozenset()]
        self.flag_wire: list[bytes] = [b""]
        self.keywords: list[str] = []
        self._flag_index: dict[frozenset[str], int] = {frozenset(): 0}
        self._spelling: dict[str, str] = {}
        self.recent = 1
        self.recent_dirty = False
        self.segments: list[Segment] = []
        self.base = StateBase()
        self.relocated: dict[int, list[Move]] = {}
        self._log: deque[tuple[int, Sequence[int], Sequence[int]]] = deque()
        self._log_floor = 1
        self._log_size = 0
        self.load_page: PageLoader
        self.load_table: TableLoader

    # -- what sessions read

    @property
    def exists(self) -> int:
        return len(self.uids)

    def index(self, uid: int) -> int:
        """The position of `uid`, or -1."""
        at = bisect_left(self.uids, uid)
        return at if at < len(self.uids) and self.uids[at] == uid else -1

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
        flagged: list[int] = []
        for seq, gone, changed in reversed(self._log):
            if seq <= modseq:
                break
            vanished.extend(gone)
            flagged.extend(changed)
        if flagged and vanished:
            lost = set(vanished)
            flagged = [uid for uid in flagged if uid not in lost]
        return Changes(sorted(vanished), sorted(set(flagged)))

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
        self, uids: Sequence[int], *, damaged: list[int] | None = None
    ) -> AsyncIterator[tuple[Page, list[int]]]:
        """The pages that hold `uids` (ascending), each with the rows wanted. UIDs that are gone are passed over.

        Raises Damaged for a page that is not what was written; with `damaged` its UIDs are put there, and the others
        are given all the same.
        """
        wanted = uids if isinstance(uids, array) else array("I", uids)
        if not wanted:
            return
        segments = list(self.segments)
        at = bisect_left(segments, wanted[0], key=lambda segment: segment.last)
        while at < len(segments):
            segment = segments[at]
            if segment.first > wanted[-1]:
                return
            low, high = bisect_left(wanted, segment.first), bisect_right(wanted, segment.last)
            at += 1
            if low == high:
                continue
            if segment.ref is not None and segment.ref.table:
                try:
                    inner = await self.load_table(segment.ref)
                except Damaged:
                    if damaged is None:
                        raise
                    damaged.extend(wanted[low:high])
                    continue
                segments[at - 1 : at] = [Segment(ref.first, ref.last, ref) for ref in inner]
                at -= 1
                continue
            try:
                page = segment.page if segment.page is not None else await self.load_page(_require(segment.ref))
            except Damaged:
                if damaged is None:
                    raise
                damaged.extend(wanted[low:high])
                continue
            page = self.with_relocations(page)
            rows = _rows(page, wanted[low:high])
            if rows:
                yield page, rows

    def with_relocations(self, page: Page) -> Page:
        if not self.relocated or not len(page):
            return page
        hits = [uid for uid in self.relocated if page.uids[0] <= uid <= page.uids[-1]]
        if not hits:
            return page
        twin = Page()
        twin.take(page, range(len(page)))
        for uid in hits:
            row = twin.row(uid)
            for old_key, old_offset, key, offset in self.relocated[uid] if row >= 0 else ():
                at = twin.location(row)
                if (at.key, at.offset) == (old_key, old_offset):
                    twin.move(row, key, offset)
        return twin

    # -- what applying a commit does

    def flag_set(self, flags: Iterable[str]) -> int:
        """The index of a set of flags, entered where it is new; spelling is that of its first use."""
        key = frozenset(self._spell(flag) for flag in flags)
        index = self._flag_index.get(key)
        if index is None:
            index = self._flag_index[key] = len(self.flag_sets)
            self.flag_sets.append(key)
            self.flag_wire.append(" ".join(sorted(key, key=_flag_order)).encode())
        return index

    def _spell(self, flag: str) -> str:
        lower = flag.lower()
        system = _SYSTEM.get(lower)
        if system is not None:
            return system
        known = self._spelling.get(lower)
        if known is None:
            known = self._spelling[lower] = flag
            self.keywords.append(flag)
        return known

    def add(self, seq: int, uid: int, flags: int, size: int) -> None:
        """A message arrives; its metadata is added by add_record or add_pages."""
        self.uids.append(uid)
        self.flags.append(flags)
        self.modseqs.append(seq)
        self.sizes.append(min(size, 0xFFFFFFFF))
        self.bytes += size
        self.unseen += SEEN not in self.flag_sets[flags]
        self.uidnext = uid + 1
        self.highest_modseq = seq

    def add_record(self, uid: int, record: Record, *, key: str, offset: int, email_id: str) -> None:
        tail = self.segments[-1] if self.segments else None
        if tail is None or tail.page is None or tail.ref is not None or tail.sealed:
            tail = Segment(uid, uid, page=Page())
            self.segments.append(tail)
        tail.last = uid
        _require(tail.page).append(uid, record, key=key, offset=offset, email_id=email_id.encode())

    def add_pages(self, refs: Iterable[PageRef]) -> None:
        self.segments.extend(Segment(ref.first, ref.last, ref) for ref in refs)

    def plan_flags(self, uids: Iterable[int], mode: str, flags: Iterable[str]) -> list[int]:
        """Those of `uids` whose flags a STORE would change."""
        change = self._translation(mode, [self._lookup(flag) for flag in flags])
        wanted = uids if isinstance(uids, array) else array("I", uids)
        low = bisect_left(self.uids, wanted[0]) if wanted else 0
        if self.uids[low : low + len(wanted)] == wanted:
            here, old = wanted, self.flags[low : low + len(wanted)]
        else:
            places = [at for at in map(self.index, wanted) if at >= 0]
            here = array("I", [self.uids[at] for at in places])
            old = array("I", [self.flags[at] for at in places])
        used = set(old)
        changes = {index for index in used if change(self.flag_sets[index]) != self.flag_sets[index]}
        if len(changes) == len(used):
            return here.tolist()
        return [uid for uid, index in zip(here, old, strict=True) if index in changes]

    def knows_keyword(self, flag: str) -> bool:
        return flag.lower() in self._spelling

    def _lookup(self, flag: str) -> str:
        lower = flag.lower()
        return _SYSTEM.get(lower) or self._spelling.get(lower, flag)

    @staticmethod
    def _translation(mode: str, flags: Sequence[str]) -> Callable[[frozenset[str]], frozenset[str]]:
        given = frozenset(flags)
        if mode == "add":
            return lambda old: old | given
        if mode == "remove":
            return lambda old: old - given
        return lambda old: given

    def change_flags(
        self, seq: int, ranges: list[tuple[int, int]], add: Sequence[str], remove: Sequence[str], replace: bool
    ) -> None:
        """Apply a `flags` operation: by slices, with one look-up a distinct set of flags."""
        added = frozenset(self._spell(flag) for flag in add)
        removed = frozenset(self._spell(flag) for flag in remove)
        table: dict[int, int] = {}

        def new(old: int) -> int:
            return self.flag_set(added if replace else (self.flag_sets[old] - removed) | added)

        changed: list[int] = []
        for first, last in ranges:
            low, high = bisect_left(self.uids, first), bisect_right(self.uids, last)
            if low == high:
                continue
            old = self.flags[low:high]
            used = set(old)
            for index in used - table.keys():
                table[index] = new(index)
            if all(table[index] == index for index in used):
                continue
            moved = array("I", map(table.__getitem__, old))
            self._count_seen(old, moved)
            self.flags[low:high] = moved
            if all(table[index] != index for index in used):
                self.modseqs[low:high] = array("Q", [seq]) * len(old)
                changed.extend(self.uids[low:high])
            else:
                hits = [at for at, (was, now) in enumerate(zip(old, moved, strict=True)) if was != now]
                for at in hits:
                    self.modseqs[low + at] = seq
                changed.extend(self.uids[low + at] for at in hits)
        if changed:
            self.highest_modseq = seq
            self._remember(seq, (), changed)

    def _count_seen(self, old: array[int], new: array[int]) -> None:
        for index, flags in enumerate(self.flag_sets):
            if SEEN not in flags:
                self.unseen += new.count(index) - old.count(index)

    def expunge(self, seq: int, uids: Sequence[int]) -> None:
        """Remove those of `uids` (ascending) that are here."""
        positions = [at for at in map(self.index, uids) if at >= 0]
        if not positions:
            return
        gone = [self.uids[at] for at in positions]
        self.bytes -= sum(self.sizes[at] for at in positions)
        self.unseen -= sum(SEEN not in self.flag_sets[self.flags[at]] for at in positions)
        self.drop(positions)
        self.highest_modseq = seq
        for uid in gone:
            self.relocated.pop(uid, None)
        self._remember(seq, gone, ())

    def drop(self, positions: Sequence[int]) -> None:
        """Take rows out of the four columns, which become new objects."""
        if positions:
            self.uids = _without(self.uids, positions)
            self.flags = _without(self.flags, positions)
            self.modseqs = _without(self.modseqs, positions)
            self.sizes = _without(self.sizes, positions)

    def restore_flags(self, keywords: Sequence[str], sets: Sequence[Sequence[str]]) -> None:
        """The flag table as a checkpoint has it."""
        self.keywords = list(keywords)
        self._spelling = {keyword.lower(): keyword for keyword in keywords}
        self.flag_sets, self.flag_wire, self._flag_index = [], [], {}
        for flags in sets:
            self.flag_set(flags)

    def _remember(self, seq: int, gone: Sequence[int], changed: Sequence[int]) -> None:
        self._touch(gone or changed)
        self._log.append((seq, gone, changed))
        self._log_size += len(gone) + len(changed)
        while self._log_size > self.log_limit and len(self._log) > 1:
            dropped, one, two = self._log.popleft()
            self._log_floor = dropped
            self._log_size -= len(one) + len(two)

    log_limit = 50_000

    def _touch(self, uids: Sequence[int]) -> None:
        """Note that these UIDs no longer are as the state pages say."""
        base = self.base
        through = max(base.through, base.covering)
        if not through:
            return
        if len(uids) > 2000:
            base.dirty.append((uids[0], uids[-1]))
        else:
            base.overlay.update(uid for uid in uids if uid <= through)

    # -- after the state was opened again

    def adopt(self, other: Mailbox) -> None:
        """Become `other`, the same mailbox read afresh; sessions that hold this object compare in full."""
        recent, dirty = max(self.recent, other.recent), self.recent_dirty
        self.__dict__.update(other.__dict__)
        self.recent, self.recent_dirty = recent, dirty
        self.forget_changes(self.highest_modseq)

    def forget_changes(self, floor: int) -> None:
        """Nothing before `floor` is remembered as a change."""
        self._log.clear()
        self._log_size = 0
        self._log_floor = max(self._log_floor, floor)

    def overlay_entry(self, uid: int) -> tuple[int, int, int, int]:
        """(uid, flags or GONE, modseq, size) as the overlay of a checkpoint holds it."""
        at = self.index(uid)
        if at < 0:
            return uid, GONE, 0, 0
        return uid, self.flags[at], self.modseqs[at], self.sizes[at]


def _require(value: _T | None) -> _T:
    assert value is not None
    return value


def _rows(page: Page, wanted: array[int]) -> list[int]:
    if page.uids == wanted:
        return list(range(len(wanted)))
    low = bisect_left(page.uids, wanted[0])
    if page.uids[low : low + len(wanted)] == wanted:
        return list(range(low, low + len(wanted)))
    return [row for row in map(page.row, wanted) if row >= 0]


def _without(column: array[int], positions: Sequence[int]) -> array[int]:
    """A new array without the items at `positions` (ascending)."""
    if len(positions) == 1:
        at = positions[0]
        return column[:at] + column[at + 1 :]
    out: array[int] = array(column.typecode)
    start = 0
    for at in positions:
        if at > start:
            out.extend(column[start:at])
        start = at + 1
    out.extend(column[start:])
    return out


def _flag_order(flag: str) -> tuple[bool, str]:
    return not flag.startswith("\\"), flag
