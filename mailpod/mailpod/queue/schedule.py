"""When an entry is attempted again, and how long another pod's claim is respected: pure, the same on every pod."""

from __future__ import annotations

import random
from dataclasses import dataclass

from mailpod.queue.settings import QueueSettings
from mailpod.relay.settings import OutboundSettings
from mailpod.store.outbound import SpoolEntry, Standing


@dataclass(slots=True)
class Known:
    """What this pod knows of an entry that it watches, once it read its line."""

    outward: bool
    holder: str
    destinations: frozenset[str]  # of its recipients elsewhere
    local: bool  # has recipients here
    ours: int = -1  # the newest attempt, where it was this pod's and is known to be over
    rest: bool = False  # that attempt left recipients out for want of room: another is due at once


@dataclass(frozen=True, slots=True)
class Schedule:
    queue: QueueSettings
    outbound: OutboundSettings

    def retry(self, entry_id: str, attempts: int, *, outward: bool) -> float:
        """Seconds between the end of attempt number `attempts` and the next. The jitter is the entry's own."""
        first, longest = (
            (self.outbound.retry_first, self.outbound.retry_longest)
            if outward
            else (self.queue.retry_first, self.queue.retry_longest)
        )
        jitter = random.Random(f"{entry_id} {attempts}").uniform(0.75, 1.25)  # noqa: S311  no secret
        return min(first * 2.0 ** min(attempts, 20), longest) * jitter

    def claim(self, *, outward: bool) -> float:
        return self.outbound.claim_seconds if outward else self.queue.claim_seconds

    def patience(self, standing: Standing, known: Known, now: float) -> float:
        """Seconds, at bucket time `now`, until an outward entry may be claimed (STORE.md rule 19)."""
        last, ours = standing.last, known.ours == standing.last
        if last in standing.results:
            if standing.hurried or (ours and known.rest):
                return 0.0
            margin = 0.0 if ours else self.queue.takeover_seconds
            return standing.results[last] + self.retry(standing.id, last, outward=True) + margin - now
        began = standing.attempts.get(last) if last else standing.message if known.holder else None
        return 0.0 if began is None or ours else began + self.outbound.claim_seconds - now

    def due(self, standing: Standing, known: Known) -> float | None:
        """When somebody should attempt it next, at bucket time; mailboxes here should have theirs at once."""
        if not known.outward:
            return standing.message
        last = standing.last
        if last in standing.results:
            return standing.results[last] + self.retry(standing.id, last, outward=True) + self.queue.takeover_seconds
        began = standing.attempts.get(last, standing.message)
        return None if began is None else began + self.outbound.claim_seconds

    def limit(self, entry: SpoolEntry, *, local: bool) -> float:
        """The age at which an entry is given up; `local` says that mailboxes here wait for it (STORE.md rule 17)."""
        limits = [self.outbound.expiry] if entry.outward else []
        return min(limits + ([self.queue.lifetime_seconds] if local or not entry.outward else []))
