"""Whose an address is, and when an entry that nobody wants any more goes: pure decisions (OPERATOR.md rules 34, 39).

- What a comparison no longer finds an owner for is first orphaned (pods answer 451), and withdrawn 15 minutes later.
- A comparison that misses many at once does nothing at all until a person approves of exactly these: a short LIST
  must not empty a directory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from mailpod.store.entries import AliasEntry, Entry, MailboxEntry, entry_key

ORPHAN_SECONDS: Final = 15 * 60
_AT_LEAST: Final = 5
_SHARE: Final = 10  # percent


@dataclass(frozen=True, slots=True)
class Brake:
    """A comparison that stopped. `approval` is what a person gives back to let exactly these entries go."""

    missing: int
    present: int
    approval: str

    def __str__(self) -> str:
        return (
            f"{self.missing} of {self.present} published entries have no owner any more, which is more than"
            f" {_SHARE} %; nothing is published until that is approved: {self.approval}"
        )


def brake(missing: Collection[str], present: int, approved: str | None) -> Brake | None:
    """Whether to stop before `missing` (keys) of `present` entries are orphaned."""
    if len(missing) < _AT_LEAST or len(missing) * 100 <= present * _SHARE:
        return None
    name = f"{len(missing)}-{hashlib.sha256(chr(10).join(sorted(missing)).encode()).hexdigest()[:12]}"
    return None if approved == name else Brake(len(missing), present, name)


def is_over(orphaned: int, now: float) -> bool:
    """Whether an entry that is orphaned since `orphaned` (Unix seconds) may be withdrawn."""
    return now - orphaned >= ORPHAN_SECONDS


def continues(entry: Entry, there: Entry) -> bool:
    """Whether an entry of a new owner says what the old one's did: a Mailbox or MailDomain that was made again."""
    if isinstance(entry, AliasEntry) and isinstance(there, AliasEntry):
        return entry.targets == there.targets
    return not isinstance(entry, AliasEntry) and type(entry) is type(there)


def settled(entries: Collection[Entry], found: Mapping[str, Entry]) -> dict[str, Entry]:
    """One entry a key. Who loses the address of a mailbox loses its aliases too: they would lead to the winner's."""
    by_key: dict[str, Entry] = {}
    for entry in entries:
        key = entry_key(entry)
        there = found.get(key)
        if key not in by_key or (there is not None and there.owner == entry.owner != by_key[key].owner):
            by_key[key] = entry
    boxes = [entry for entry in entries if isinstance(entry, MailboxEntry)]
    lost = {entry.owner for entry in boxes if by_key[entry_key(entry)].owner != entry.owner}
    return {key: entry for key, entry in by_key.items() if entry.owner not in lost}
