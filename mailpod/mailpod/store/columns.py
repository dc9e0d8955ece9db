"""What a mailbox holds, in columns, and how a commit changes it.

- `uids`, `flags`, `modseqs`, `sizes` and `homes` are aligned. An append extends the array objects in place; an expunge
  puts new ones in their place, so that (uids, count) is a snapshot that stays true for whoever holds it.
- Only state.py calls what changes something, and only to apply a commit: everything here is a pure function of the log,
  but for `change log`, `base`, `segments` and `search`, which say what is remembered, not what is so.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .annotations import Annotations
from .homes import Homes
from .ops import Appends, PageRef, Record
from .page import GONE, Page
from .postings import SearchRef

SEEN = "\\Seen"
_SYSTEM = {name.lower(): name for name in ("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft")}

Move = tuple[str, int, str, int]  # old key and offset, new key and offset: applies while the old ones are current


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


class Columns:
    """The part of a mailbox that commits change."""

    def __init__(self, box: int, name: str, uidvalidity: int, object_id: str, use: str | None = None) -> None:
        self.id = box
        self.name = name
        self.uidvalidity = uidvalidity
        self.object_id = object_id
        self.special_use = use
        self.annotations: Annotations = {}
        self.deleted = False
        self.uidnext = 1
        self.highest_modseq = 1
        self.unseen = 0
        self.bytes = 0
        self.uids = array("I")
        self.flags = array("I")
        self.modseqs = array("Q")
        self.sizes = array("I")
        self.homes = array("I")
        self.ledger = Homes()  # the account's; state.py puts it here
        self.flag_sets: list[frozenset[str]] = [frozenset()]
        self.flag_wire: list[bytes] = [b""]
        self.keywords: list[str] = []
        self._flag_index: dict[frozenset[str], int] = {frozenset(): 0}
        self._spelling: dict[str, str] = {}
        self.acl: dict[str, tuple[str, str]] = {}  # by identifier: the incarnation that is meant, and its rights
        self.url_key = ""  # the mailbox access key in hex: a secret (urlkeys.py)
        self.renamed = (0, "")  # the commit that made it by renaming one that stays, and the name of that, where known
        self.recent = 1
        self.recent_dirty = False
        self.segments: list[Segment] = []
        self.search: list[SearchRef] = []  # replaced, never changed in place
        self.derived: dict[object, Any] = {}  # what readers made of the whole, to be used again
        self.base = StateBase()
        self.relocated: dict[int, list[Move]] = {}
        self._log: deque[tuple[int, Sequence[int], Sequence[int]]] = deque()
        self._log_floor = 1
        self._log_size = 0

    @property
    def exists(self) -> int:
        return len(self.uids)

    def index(self, uid: int) -> int:
        """The position of `uid`, or -1."""
        at = bisect_left(self.uids, uid)
        return at if at < len(self.uids) and self.uids[at] == uid else -1

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

    def add(
        self, seq: int, uids: Sequence[int], flags: Sequence[int], sizes: Sequence[int], homes: Sequence[int]
    ) -> None:
        """Messages arrive, one at least; their metadata is added by add_records or add_pages."""
        kept = [min(size, 0xFFFFFFFF) for size in sizes]
        self.uids.extend(uids)
        self.flags.extend(flags)
        self.modseqs.extend([seq] * len(uids))
        self.sizes.extend(kept)
        self.homes.extend(homes)
        if homes.count(homes[0]) == len(homes):
            self.ledger.enter(homes[0], sum(kept), len(kept))
        else:
            for home, size in zip(homes, kept, strict=True):
                self.ledger.enter(home, size)
        self.bytes += sum(sizes)
        self.unseen += sum(flags.count(index) for index in set(flags) if SEEN not in self.flag_sets[index])
        self.uidnext = uids[-1] + 1
        self.highest_modseq = seq

    def add_records(
        self,
        uids: Sequence[int],
        records: Sequence[Record],
        places: Sequence[tuple[str, int]],
        email_ids: Sequence[bytes],
    ) -> None:
        """`places` are the objects that hold the bytes, and the offsets in them."""
        self._tail(uids[0], uids[-1]).extend(uids, records, places, email_ids)

    def add_unscanned(self, op: Appends, key: str, start: int, email_ids: Sequence[bytes]) -> None:
        """Messages whose bytes begin at `start` of the object `key`, back to back."""
        self._tail(op.uid, op.uid + len(op.sizes) - 1).extend_unscanned(op, key, start, email_ids)

    def _tail(self, first: int, last: int) -> Page:
        """The page to which messages are added."""
        tail = self.segments[-1] if self.segments else None
        page = tail.page if tail is not None and tail.ref is None and not tail.sealed else None
        if tail is None or page is None:
            page = Page()
            tail = Segment(first, last, page=page)
            self.segments.append(tail)
        tail.last = last
        return page

    def add_pages(self, refs: Iterable[PageRef]) -> None:
        self.segments.extend(Segment(ref.first, ref.last, ref) for ref in refs)

    def plan_flags(self, uids: Iterable[int], mode: str, flags: Iterable[str]) -> Sequence[int]:
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
        used = distinct(old)
        changes = {index for index in used if change(self.flag_sets[index]) != self.flag_sets[index]}
        if len(changes) == len(used):
            return here
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

        changed = array("I")
        for first, last in ranges:
            low, high = bisect_left(self.uids, first), bisect_right(self.uids, last)
            if low == high:
                continue
            old = self.flags[low:high]
            used = distinct(old)
            for index in used - table.keys():
                table[index] = new(index)
            if all(table[index] == index for index in used):
                continue
            if len(used) == 1:
                moved = array("I", [table[old[0]]]) * len(old)
            else:
                moved = array("I", map(table.__getitem__, old))
            self._count_seen(old, {index: table[index] for index in used})
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

    def _count_seen(self, old: array[int], becomes: dict[int, int]) -> None:
        for index, new in becomes.items():
            change = (SEEN in self.flag_sets[index]) - (SEEN in self.flag_sets[new])
            if change:
                self.unseen += change * (old.count(index) if len(becomes) > 1 else len(old))

    def expunge(self, seq: int, uids: Sequence[int]) -> None:
        """Remove those of `uids` (ascending) that are here."""
        positions = [at for at in map(self.index, uids) if at >= 0]
        if not positions:
            return
        gone = [self.uids[at] for at in positions]
        self.bytes -= sum(self.sizes[at] for at in positions)
        self.unseen -= sum(SEEN not in self.flag_sets[self.flags[at]] for at in positions)
        for at in positions:
            self.ledger.leave(self.homes[at], self.sizes[at])
        self.drop(positions)
        self.highest_modseq = seq
        for uid in gone:
            self.relocated.pop(uid, None)
        self._remember(seq, gone, ())

    def drop(self, positions: Sequence[int]) -> None:
        """Take rows out of the columns, which become new objects."""
        if positions:
            self.uids = _without(self.uids, positions)
            self.flags = _without(self.flags, positions)
            self.modseqs = _without(self.modseqs, positions)
            self.sizes = _without(self.sizes, positions)
            self.homes = _without(self.homes, positions)

    def vacate(self) -> None:
        """The mailbox goes, and its messages with it."""
        for home, size in zip(self.homes, self.sizes, strict=True):
            self.ledger.leave(home, size)

    def relocate(self, moves: Iterable[tuple[int, str, int, str, int]]) -> None:
        """Apply a `relocate` operation to those whose old object is their home (STORE.md rule 10).

        Whether the offset fits too is seen when the metadata page is read: within one object a message never moves.
        """
        moved = []
        for uid, old_key, old_offset, key, offset in moves:
            at = self.index(uid)
            if at < 0 or self.homes[at] != self.ledger.find(old_key):
                continue
            self.ledger.leave(self.homes[at], self.sizes[at])
            self.homes[at] = self.ledger.number(key)
            self.ledger.enter(self.homes[at], self.sizes[at])
            self.relocated.setdefault(uid, []).append((old_key, old_offset, key, offset))
            moved.append(uid)
        if moved:
            self._touch(moved)

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

    def forget_changes(self, floor: int) -> None:
        """Nothing before `floor` is remembered as a change."""
        self._log.clear()
        self._log_size = 0
        self._log_floor = max(self._log_floor, floor)

    def overlay_entry(self, uid: int) -> tuple[int, int, int, int, int]:
        """(uid, flags or GONE, modseq, size, home) as the overlay of a checkpoint holds it."""
        at = self.index(uid)
        if at < 0:
            return uid, GONE, 0, 0, 0
        return uid, self.flags[at], self.modseqs[at], self.sizes[at], self.homes[at]


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


def distinct(column: array[int] | list[int]) -> set[int]:
    """What is in it: of flags, very often one only."""
    first = column[:1]
    return set(first if column == first * len(column) else column)


def _flag_order(flag: str) -> tuple[bool, str]:
    return not flag.startswith("\\"), flag
