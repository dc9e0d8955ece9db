"""Sequence sets against a view: positions, as ranges (RFC 3501 §9 sequence-set, §6.4.8).

Invariants: linear in the number of ranges sent (and n log n to sort them), never in what they span: `1:4294967295`
costs as much as `1:2`. A result is ascending, disjoint and 0-based. Nothing here waits.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailpod.imap.lexer import BadCommand
from mailpod.imap.sets import merge, runs

if TYPE_CHECKING:
    from mailpod.imap.syntax import SequenceSet
    from mailpod.imap.view import View


class BadSequence(BadCommand):
    """A sequence number that no message has: a client's mistake, unlike an unknown UID."""

    text = "Invalid message sequence number"


def resolve(wanted: SequenceSet, view: View, uid: bool) -> list[range]:
    """Positions of the messages that `wanted` names, as told. Raises BadSequence; unknown UIDs are ignored."""
    if wanted.saved:
        return saved(view)
    parts = [(_uids if uid else _numbers)(view, first, last) for first, last in wanted.ranges]
    return merge(parts)


def existing(wanted: SequenceSet, view: View) -> list[range]:
    """Positions of the messages that have one of these numbers, for SEARCH: a number that no message has finds nothing,
    as in Dovecot, and 6:* is the last message where there are five (RFC 3501 §9: 6:* and *:6 are the same set).
    """
    if wanted.saved:
        return saved(view)
    exists = view.exists
    parts = []
    for first, last in wanted.ranges:
        low, high = sorted((exists if first is None else first, exists if last is None else last))
        parts.append(range(max(low, 1) - 1, min(high, exists)))
    return merge(parts)


def saved(view: View) -> list[range]:
    """RFC 5182 §2.1: what the last SEARCH with SAVE found, without what was expunged since."""
    return runs([seq - 1 for seq in map(view.seq_of, view.saved) if seq])


def _numbers(view: View, first: int | None, last: int | None) -> range:
    exists = view.exists
    if not exists and (first is None or last is None):
        # "1:*" is how clients ask for everything, in an empty mailbox too. RFC 9051 §9 seq-number: the server "should"
        # say BAD to that, as Dovecot does; James does not, and its FetchAllEmptyMailbox wants OK.
        return range(0)
    low, high = sorted((exists if first is None else first, exists if last is None else last))
    if low < 1 or high > exists:
        raise BadSequence()  # RFC 3501 §9 seq-number: not more than the number of messages
    return range(low - 1, high)


def _uids(view: View, first: int | None, last: int | None) -> range:
    highest = view.last_uid  # RFC 3501 §6.4.8: `*` is the highest UID, so 559:* always has it
    low, high = sorted((highest if first is None else first, highest if last is None else last))
    start = bisect_left(view.uids, low, 0, view.exists)
    return range(start, bisect_right(view.uids, high, start, view.exists))


def uids_of(view: View, parts: Sequence[range]) -> array[int]:
    """UIDs at these positions, ascending."""
    if len(parts) == 1:
        return view.uids[parts[0].start : parts[0].stop]
    out = array("I")
    for part in parts:
        out += view.uids[part.start : part.stop]
    return out
