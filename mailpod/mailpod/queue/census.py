"""What a full look at the queue found, for the metrics.

- Whom an entry waits for decides whether anything is wrong: another server may say "later" for days. Late is what was
  not attempted when it was due (Schedule.due), and what mailboxes here have not got.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailpod import metrics
from mailpod.store.outbound import Standing


@dataclass(slots=True)
class Census:
    """Of one sweep. Times are the bucket's; 0: there is none."""

    entries: int = 0
    held: int = 0
    oldest: float = 0.0
    due: float = 0.0

    def count(self, standing: Standing, due: float | None) -> None:
        """`due`: when the entry's next attempt is, or was; None where that is not ours to say."""
        if standing.garbage:
            return
        self.entries += 1
        self.held += standing.held
        self.oldest = self.oldest or standing.message or 0.0  # they come in order
        if due is not None and not standing.held:
            self.due = min(self.due or due, due)

    def tell(self, now: float) -> None:
        metrics.SPOOL_ENTRIES.set(self.entries)
        metrics.SPOOL_HELD.set(self.held)
        metrics.SPOOL_OLDEST.set(self.oldest)
        metrics.SPOOL_DUE.set(self.due)
        metrics.SPOOL_SWEPT.set(now)
