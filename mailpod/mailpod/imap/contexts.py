"""Searches whose results a client keeps, and is told the changes of (RFC 5267 §4.3). No I/O.

Invariants
- `members` are what the client has made of all that it was told, as UIDs; `order` has the same ones, sorted.
- A message that the client was not told of, or whose EXPUNGE it was told of, is in no result.
- Every change up to `modseq`, and every message up to `last`, is tested; what is tested again is what came after.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final, TypeAlias

from pyroaring import BitMap

from mailpod.errors import MailError
from mailpod.imap.sequence import existing
from mailpod.imap.sets import wire
from mailpod.imap.syntax import SequenceSet
from mailpod.imap.syntax_search import Age, And, Fuzzy, Not, Or, Recent, Seq, Uid

if TYPE_CHECKING:
    from mailpod.imap.syntax import FetchItem
    from mailpod.imap.syntax_search import SearchKey, SortKey
    from mailpod.imap.view import View

_Update: TypeAlias = tuple[int, Sequence[int]]  # a place in the results, from 1 on, and UIDs; 0: in the mailbox's order
_LAST: Final = 2**32 - 1


class TagReused(MailError):
    """RFC 5267 §4.3: UPDATE with the tag of a search that is still updated."""

    imap = ("BAD", None)
    text = "Tag reuse"


@dataclass(slots=True)
class Context:
    """One search. `head` begins each of its responses; `criteria` are SORT's, and SEARCH has none."""

    head: bytes
    uid: bool
    key: SearchKey
    criteria: tuple[SortKey, ...]
    modseq: int
    last: int
    members: BitMap
    order: array[int]
    items: tuple[FetchItem, ...] = ()  # to be fetched of new messages among them

    def due(self, view: View) -> bool:
        """Whether something came, or changed, that was not tested."""
        return self.modseq != view.mailbox.highest_modseq or self.last != view.last_uid

    def untested(self, view: View) -> list[int]:
        """Positions of what is to be tested: O(changes)."""
        changed = (view.seq_of(uid) - 1 for uid in view.mailbox.modified_since(self.modseq) if uid <= self.last)
        first = view.first_after(self.last)
        return [*(at for at in changed if at >= 0), *range(first, view.exists)]

    def expunged(self, view: View, uids: Iterable[int]) -> bytes:
        """The response that comes before their EXPUNGE (RFC 5267 §4.3.4), or nothing."""
        lost = self.members & BitMap(uids)
        return self._response(view, self._remove(lost), ())

    def become(self, view: View, lost: BitMap, added: BitMap, order: Sequence[int]) -> bytes:
        """The response that says what went and what came, or nothing. `order`, SORT's, may have more than are told."""
        added = BitMap(uid for uid in added - self.members if view.seq_of(uid))
        lost = lost & self.members
        if self.criteria and added:  # what cannot be read any more has no place
            added, lost = added & BitMap(order), lost | self.members - BitMap(order)
        removed = self._remove(lost)
        self.members |= added
        return self._response(view, removed, self._insert(added, order) if added else ())

    def _remove(self, lost: BitMap) -> list[_Update]:
        self.members -= lost
        if not self.criteria or not lost:
            return [(0, list(lost))] if lost else []
        runs = _runs(self.order, lost)
        self.order = array("I", (uid for uid in self.order if uid not in lost))
        return runs[::-1]  # each is taken out where it is: the last first, so that the others stay where they are

    def _insert(self, added: BitMap, order: Sequence[int]) -> list[_Update]:
        if not self.criteria:
            return [(0, list(added))]
        self.order = array("I", filter(self.members.__contains__, order))
        return _runs(self.order, added)

    def _response(self, view: View, removed: Sequence[_Update], added: Sequence[_Update]) -> bytes:
        words = [self.head]
        for name, updates in ((b"REMOVEFROM", removed), (b"ADDTO", added)):
            pairs = (b"%d %b" % (place, wire(self._named(view, uids))) for place, uids in updates)
            words += [b"%b (%b)" % (name, b" ".join(pairs))] if updates else []
        return b" ".join(words) + b"\r\n" if len(words) > 1 else b""

    def _named(self, view: View, uids: Sequence[int]) -> Sequence[int]:
        return uids if self.uid else list(map(view.seq_of, uids))


def _runs(order: Sequence[int], chosen: BitMap) -> list[_Update]:
    """Where in `order` the chosen ones are, those together that follow each other."""
    out: list[_Update] = []
    for inside, part in groupby(enumerate(order, 1), key=lambda each: each[1] in chosen):
        if inside:
            places, uids = zip(*part, strict=True)
            out.append((places[0], uids))
    return out


def steady(key: SearchKey) -> bool:
    """Whether what matches changes only when messages do; RFC 5267 §4.3.1 lets us refuse to update what does not."""
    match key:
        case And(keys):
            return all(map(steady, keys))
        case Or(a, b):
            return steady(a) and steady(b)
        case Not(inner) | Fuzzy(inner):
            return steady(inner)
    return not isinstance(key, Age | Recent)


def fixed(key: SearchKey, view: View) -> SearchKey:
    """The same program with its message numbers, `$` and `*` as they are now (RFC 5267 §4.3)."""
    match key:
        case And(keys):
            return And(tuple(fixed(each, view) for each in keys))
        case Or(a, b):
            return Or(fixed(a, view), fixed(b, view))
        case Not(inner):
            return Not(fixed(inner, view))
        case Fuzzy(inner):
            return Fuzzy(fixed(inner, view))
        case Seq(wanted):
            return Uid(_uids_at(view, existing(wanted, view)))
        case Uid(wanted) if wanted.saved:
            return Uid(_uids_at(view, existing(wanted, view)))
        case Uid(wanted):
            return Uid(SequenceSet(tuple(_open(view.last_uid, first, last) for first, last in wanted.ranges)))
    return key


def _uids_at(view: View, positions: Sequence[range]) -> SequenceSet:
    # UIDs ascend, and none is given later between two others
    return SequenceSet(tuple((view.uids[part.start], view.uids[part.stop - 1]) for part in positions))


def _open(highest: int, first: int | None, last: int | None) -> tuple[int, int]:
    """`n:*` has what comes later too."""
    if first is None and last is None:
        return max(highest, 1), max(highest, 1)
    if first is None or last is None:
        return min(first or last or highest, highest) or 1, _LAST
    return first, last
