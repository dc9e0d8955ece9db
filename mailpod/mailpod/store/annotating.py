"""Setting annotations (RFC 5464 §4.3): checked against the newest state, as one operation of the next commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..errors import NoSuchMailbox, TooManyAnnotations, UseNotPossible
from .annotations import SPECIAL_USE, Annotations, annotated, octets
from .ops import Annotate
from .state import INBOX

if TYPE_CHECKING:
    from .draft import Draft
    from .mailbox import Mailbox

Entries = Sequence[tuple[str, str | None]]


def annotate(draft: Draft, name: str, entries: Entries) -> None:
    """All of `entries`, or none; of the account where `name` is empty.

    Raises NoSuchMailbox, TooManyAnnotations, UseNotPossible.
    """
    state, settings = draft.state, draft.settings
    box = state.find(name) if name else None
    if name and box is None:
        raise NoSuchMailbox(name)
    old = box.annotations if box is not None else state.annotations
    new = annotated(old, (entry for entry in entries if entry[0] != SPECIAL_USE))
    uses = [use or None for entry, use in entries if entry == SPECIAL_USE]
    if box is not None and uses:
        _check_use(state.boxes.values(), box, uses[-1])
    if new.keys() - old.keys() and len(new) > settings.annotations:
        raise TooManyAnnotations
    grown = octets(new) - octets(old)
    if grown > 0 and _held(draft) + grown > settings.account_annotation_bytes:
        raise TooManyAnnotations
    if new != old or (box is not None and uses and uses[-1] != box.special_use):
        # RFC 7162 §3.2: the mailbox's modseq counts its annotations too
        draft.operations.append(Annotate(box.id if box is not None else 0, tuple(entries), modseq=box is not None))


def _held(draft: Draft) -> int:
    everything: list[Annotations] = [draft.state.annotations]
    everything += (box.annotations for box in draft.state.boxes.values())
    return sum(map(octets, everything))


def _check_use(boxes: Iterable[Mailbox], box: Mailbox, use: str | None) -> None:
    """RFC 6154 §4: as CREATE checks it."""
    if use is None:
        return
    if box.name == INBOX:
        raise UseNotPossible("INBOX has no special use")
    if any(other.special_use == use for other in boxes if other is not box):
        raise UseNotPossible(f"Another mailbox is {use} already")
