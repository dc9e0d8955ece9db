"""Messages that went while others' EXPUNGE was held back: their flags and MODSEQs as the client was told them last.

Invariant: `look` is called with each change that is noted, so whatever was told of a message meanwhile stands in the
mailbox's arrays of then, which are changed in place until the next expunge puts others there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailpod.store import Mailbox


class HeldBack:
    """Of one view, from the first EXPUNGE that is held back until all were told."""

    __slots__ = ("_columns", "_last")

    def __init__(self, mailbox: Mailbox) -> None:
        self._last: dict[int, tuple[int, int]] = {}
        self.look(mailbox)

    def look(self, mailbox: Mailbox) -> None:
        self._columns = mailbox.uids, mailbox.flags, mailbox.modseqs

    def note(self, gone: Iterable[int]) -> None:
        """These UIDs went since the last look."""
        uids, flags, modseqs = self._columns
        for uid in gone:
            at = bisect_left(uids, uid)
            if at < len(uids) and uids[at] == uid:
                self._last[uid] = flags[at], modseqs[at]

    def put(self, known: list[int], part: range, seq_of: Callable[[int], int], item: int) -> None:
        """Into what was known of `part` before: flags are item 0, MODSEQs 1."""
        for uid, last in self._last.items():
            if (at := seq_of(uid) - 1) in part:
                known[at - part.start] = last[item]
