"""Which mailboxes differ from what they were, found once for all who were told of an account up to the same commit.

Invariant: a mailbox whose messages changed has the commit's number as its HIGHESTMODSEQ; whatever else somebody may be
told of, names, rights, annotations and subscriptions, moves the state's `shaped`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .mailbox import Mailbox
    from .state import State


class Changes:
    """Of one account. The answer for one pair of commits is kept: sessions are told one after the other."""

    __slots__ = ("_between", "_boxes")

    def __init__(self) -> None:
        self._between = 0, 0
        self._boxes: Sequence[Mailbox] = ()

    def since(self, state: State, head: int) -> Sequence[Mailbox] | None:
        """Mailboxes whose messages changed after the commit `head`; None where anything else did, or may have."""
        if not state.shaped <= head <= state.head:
            return None
        if self._between != (head, state.head):
            self._between = head, state.head
            self._boxes = [box for box in state.boxes.values() if box.highest_modseq > head]
        return self._boxes
