"""Many messages that are appended together: one operation, and nothing is done a message at a time that need not be.

- Their bytes and checksums are in the commit, and that is durable, before anybody is told. What the index has of them
  beside that (envelopes, structures, header fields) is found out later (unscanned.py): it is all in the bytes.
- Only where every pod of the domain reads the operation (DECISIONS, "Format").
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, TypeVar

from msgspec.json import encode

from ..checksum import checksum
from ..errors import Unavailable
from . import keywords
from .begun import Begun
from .blocks import most_blocks
from .draft import Appended, Draft, Limits
from .message import NewMessage
from .ops import Appends
from .settings import StoreSettings

T = TypeVar("T")
OPERATION: Final = "appends"
_TURN_BYTES: Final = 1 << 20  # of which checksums are made in one go: less than a millisecond
_BESIDE: Final = 512  # octets of a commit's line beside what is here


@dataclass(slots=True)
class Together:
    """Messages for one mailbox. `dates`, `zones`, `flags`: as in ops.Appends.

    `begun` is their commit on its way. `key` is the pack that holds them, from `at` on, since `posted`: when that began
    to be uploaded (Clock.elapsed).
    """

    bodies: Sequence[bytes]
    sizes: tuple[int, ...]
    saved: int
    dates: tuple[int, ...]
    zones: tuple[int, ...]
    flags: tuple[tuple[str, ...], ...]
    sums: Sequence[bytes] = ()
    begun: Begun | None = None
    key: str = ""
    at: int = 0
    posted: float = inf

    @property
    def octets(self) -> int:
        return sum(self.sizes)

    @property
    def line_bytes(self) -> int:
        """Of the first line of a commit with nothing else, about, and no less."""
        columns = len(encode((self.sizes, self.dates, self.zones, self.flags)))
        return columns + 32 * len(self.sizes) + 44 * most_blocks(self.sizes) + _BESIDE

    async def find_sums(self) -> None:
        """The checksum of each message."""
        out, octets = list[bytes](), 0
        for body in self.bodies:
            out.append(checksum(body))
            octets += len(body)
            if octets >= _TURN_BYTES:
                octets = 0
                await asyncio.sleep(0)
        self.sums = out


def together(messages: Sequence[NewMessage], now: int, settings: StoreSettings) -> Together | None:
    """None where they must come otherwise: few, too large for one commit, or deliveries."""
    bodies = [message.data for message in messages]
    sizes = tuple(map(len, bodies))
    if len(sizes) < settings.together_messages:
        return None
    if sum(sizes) > settings.commit_bytes or max(sizes) > settings.inline_message_bytes:
        return None
    if any(message.delivery_id is not None for message in messages):
        return None
    dates = tuple(now if message.internal_date is None else message.internal_date for message in messages)
    zones = tuple(message.internal_zone for message in messages)
    flags = tuple(tuple(sorted(message.flags)) for message in messages)
    return Together(bodies, sizes, now, _short(dates), zones if any(zones) else (), _short(flags))


def _short(column: tuple[T, ...]) -> tuple[T, ...]:
    """Once, where it is the same in all rows."""
    return column[:1] if column.count(column[0]) == len(column) else column


def append_together(draft: Draft, name: str, batch: Together, limits: Limits | None) -> Appended:
    """Raises TryCreate, OverQuota, LimitReached, Unavailable."""
    box, count = draft.box(name), len(batch.sizes)
    draft.check_quota(limits, batch.octets, count)
    if draft.is_old(batch.posted):
        raise Unavailable  # it is sent again, and then uploaded again
    keywords.check(box, {flag for flags in batch.flags for flag in flags}, draft.settings)
    first = draft.uidnext.get(box.id, box.uidnext)
    at = batch.at
    if batch.key:
        draft.posted = min(draft.posted, batch.posted)
    else:
        at = draft.body_bytes
        draft.body.extend(batch.bodies)
        draft.sums.extend(batch.sums)
        draft.body_bytes += batch.octets
    sums = b"".join(batch.sums).hex()
    columns = batch.sizes, sums, batch.saved, batch.dates, batch.zones, batch.flags
    draft.operations.append(Appends(box.id, first, at, *columns, batch.key))
    draft.uidnext[box.id] = first + count
    draft.added_bytes += batch.octets
    draft.added_messages += count
    return Appended(box.uidvalidity, list(range(first, first + count)))
