"""Which warnings an account has had of its quota: an annotation, in the commit that brings the warning.

- So a threshold is warned of once, by however many pods. Its mark goes with the first commit on a state that holds less
  than the mark says: then it has been left, and the next time it is reached there is another warning.
- Who owns the account may see the annotation, and set it: it decides nothing but these warnings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from .ops import Annotate
from .state import INBOX, State

if TYPE_CHECKING:
    from .draft import Draft, Limits, Prepared

WARNED: Final = "/private/vendor/mailpod/quota-warned"  # RFC 5464 §3.2: a vendor's own


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """A threshold that was warned of. It is left where the account holds less than either number."""

    percent: int
    bytes: int | None
    messages: int | None

    def left(self, state: State) -> bool:
        return (self.bytes is None or state.usage_bytes < self.bytes) and (
            self.messages is None or state.usage_messages < self.messages
        )


_DECODER: Final = msgspec.json.Decoder(tuple[Mark, ...])


@dataclass(frozen=True, slots=True)
class Thresholds:
    """In percent of the quota; one that was warned of is left `margin` below it."""

    percents: tuple[int, ...]
    margin: int


def fullness(state: State, limits: Limits) -> int:
    """Percent of what may be held, of bytes or of messages, whichever is more."""
    held = ((state.usage_bytes, limits.bytes), (state.usage_messages, limits.messages))
    return max((100 * used // most for used, most in held if most), default=0)


def marks_of(state: State) -> tuple[Mark, ...]:
    try:
        return _DECODER.decode(state.annotations.get(WARNED, "[]"))
    except msgspec.MsgspecError:  # the user's own words
        return ()


def due(state: State, limits: Limits, thresholds: Thresholds) -> int:
    """The highest threshold that is reached, where it was not warned of; else 0."""
    reached = max((percent for percent in thresholds.percents if percent <= fullness(state, limits)), default=0)
    return reached if reached > max((mark.percent for mark in _kept(state, limits, thresholds)), default=0) else 0


def settled(state: State, limits: Limits, thresholds: Thresholds) -> bool:
    """Whether there is nothing to warn of, and no mark of a threshold that was left: the quota may be another now."""
    return not due(state, limits, thresholds) and _kept(state, limits, thresholds) == marks_of(state)


def warn(draft: Draft, limits: Limits, thresholds: Thresholds, warning: Prepared | None) -> int:
    """Marks as they should be, and the warning in INBOX, full or not, if one is due; then which. None: marks alone."""
    state = draft.state
    reached = due(state, limits, thresholds) if warning is not None else 0
    marks = _kept(state, limits, thresholds)
    if reached and warning is not None:
        draft.append(INBOX, [warning], None)
        known = {mark.percent for mark in marks}
        marks += tuple(
            _mark(percent, limits, thresholds)
            for percent in thresholds.percents
            if percent <= reached and percent not in known
        )
    if marks != marks_of(state):
        draft.operations.append(_annotation(marks))
    return reached


def forget_left(draft: Draft) -> None:
    """Marks of thresholds that were left go along with a commit that is made anyway."""
    state = draft.state
    if WARNED not in state.annotations or not draft.operations or any(map(_of_marks, draft.operations)):
        return
    marks = marks_of(state)
    kept = tuple(mark for mark in marks if not mark.left(state))
    if kept != marks:
        draft.operations.append(_annotation(kept))


def _kept(state: State, limits: Limits, thresholds: Thresholds) -> tuple[Mark, ...]:
    full = fullness(state, limits)
    return tuple(mark for mark in marks_of(state) if not mark.left(state) and full >= mark.percent - thresholds.margin)


def _mark(percent: int, limits: Limits, thresholds: Thresholds) -> Mark:
    line = percent - thresholds.margin
    return Mark(
        percent,
        None if limits.bytes is None else limits.bytes * line // 100,
        None if limits.messages is None else limits.messages * line // 100,
    )


def _annotation(marks: Sequence[Mark]) -> Annotate:
    return Annotate(0, ((WARNED, msgspec.json.encode(marks).decode() if marks else None),))


def _of_marks(operation: object) -> bool:
    return isinstance(operation, Annotate) and any(name == WARNED for name, _ in operation.entries)
