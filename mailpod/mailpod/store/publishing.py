"""One pass of the directory's publisher: what it found, what it did, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from mailpod.store.entries import Entry
from mailpod.store.purge import Purge
from mailpod.store.withdrawal import Brake


@dataclass(frozen=True, slots=True)
class Published:
    """What one pass changed, as keys in the bucket; all empty where there was nothing to do."""

    written: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    opened: tuple[str, ...] = ()
    newer: tuple[str, ...] = ()  # left alone: a newer publisher's, or of a newer generation (OPERATOR.md rule 34)
    orphaned: tuple[str, ...] = ()  # their owner is missed: withdrawn by a pass after 15 minutes
    conflicts: tuple[tuple[str, str], ...] = ()  # address, uid of its living owner; left alone
    brake: Brake | None = None  # nothing was done


@dataclass(slots=True)
class Pass:
    """One pass: what was found in the bucket, and what was done about it."""

    planned: float  # Clock.elapsed, when what it wants was begun to be gathered
    numbers: dict[str, int] = field(default_factory=dict)  # directory/<domain>/<local part>/ -> highest incarnation
    closing: dict[str, int] = field(default_factory=dict)  # the same -> incarnation whose close was begun
    found: dict[str, Entry] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)  # key -> ETag in the listing
    present: set[str] = field(default_factory=set)  # damaged entries included
    newer: set[str] = field(default_factory=set)
    purges: list[Purge] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    orphaned: list[str] = field(default_factory=list)
    conflicts: list[tuple[str, str]] = field(default_factory=list)

    def published(self) -> Published:
        return Published(
            written=tuple(sorted(self.written)),
            withdrawn=tuple(sorted(self.gone)),
            opened=tuple(sorted(self.opened)),
            newer=tuple(sorted(self.newer)),
            orphaned=tuple(sorted(self.orphaned)),
            conflicts=tuple(sorted(self.conflicts)),
        )
