"""What searches for text found out, kept with the mailbox: a client asks again, and again for what came since.

Invariant: the text of a message never changes, and a UID is never another's, so an answer stays true and needs no
invalidation. A mailbox keeps few.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pyroaring import BitMap

if TYPE_CHECKING:
    from mailpod.store.mailbox import Mailbox

_KEPT: Final = 16  # strings a mailbox
_LONGEST: Final = 256  # characters of one
_KEY: Final = "texts"


@dataclass(frozen=True, slots=True)
class Remembered:
    """UIDs of which one question was answered, and those that it is true of."""

    asked: BitMap = field(default_factory=BitMap)
    found: BitMap = field(default_factory=BitMap)


def remembered(mailbox: Mailbox, question: Hashable, text: str) -> Remembered:
    """What is known of `question`, which asks for `text`, to be added to."""
    if len(text) > _LONGEST:
        return Remembered()
    known: dict[Hashable, Remembered] = mailbox.derived.setdefault(_KEY, {})
    answer = known.pop((question, text), None) or Remembered()
    while len(known) >= _KEPT:
        known.pop(next(iter(known)))
    known[question, text] = answer
    return answer
