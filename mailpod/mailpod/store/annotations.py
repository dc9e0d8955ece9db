"""Annotations of mailboxes and of an account (RFC 5464): names to values, as the log and checkpoints hold them.

Invariants: names are lower case and begin with /private/ or /shared/; a value is octets as Latin-1 text (FORMAT.md). A
map is replaced when something changes and never changed in place, so that two states are compared by their maps.
The special use of a mailbox (RFC 6154 §4) is an entry by name only: it stands in the mailbox's `use`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

Annotations: TypeAlias = dict[str, str]
SPECIAL_USE: Final = "/private/specialuse"


def annotated(old: Annotations, entries: Iterable[tuple[str, str | None]]) -> Annotations:
    """`old` with these entries set, or gone where the value is None."""
    new = dict(old)
    for name, value in entries:
        if value is None:
            new.pop(name, None)
        else:
            new[name] = value
    return new


def octets(annotations: Annotations) -> int:
    """What they take: a name's length and its value's."""
    return sum(len(name) + len(value) for name, value in annotations.items())
