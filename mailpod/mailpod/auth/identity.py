"""Who logged in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from mailpod.directory import AccountRef, MailboxEntry


@dataclass(frozen=True, slots=True)
class Identity:
    """A user that proved who they are. `address` is the mailbox's own, whatever alias the user typed."""

    address: str
    entry: MailboxEntry
    ref: AccountRef
    stamp: str


def stamp_of(entry: MailboxEntry) -> str:
    """Changes when sessions of this account must end: password, suspension, protocols or incarnation.

    Not with quota or generation: those take effect in sessions that go on.
    """
    facts = repr((entry.incarnation, entry.verifiers, entry.suspended, sorted(entry.protocols)))
    return hashlib.sha256(facts.encode()).hexdigest()
