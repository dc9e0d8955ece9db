"""Orders of whole mailboxes, as SORT found them: kept for all accounts of a pod under a budget, to be used again.

Invariant: what SORT compares of a message never changes, and a UID is never another's, so an order stays true of the
messages that it has: what came since is to be put in its place, and what went is to be left out.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable
from dataclasses import dataclass

from .bodies import Cache
from .columns import Columns
from .settings import StoreSettings


@dataclass(frozen=True, slots=True)
class Order:
    """Positions among the first `exists` of a mailbox's `uids` (columns.py), in the order."""

    uids: array[int]
    exists: int
    places: array[int]


class Orders:
    """Of all accounts of a pod."""

    def __init__(self, settings: StoreSettings) -> None:
        self._kept: Cache[Order] = Cache(settings.search_cache_bytes // 8)

    def get(self, prefix: str, box: Columns, by: Hashable) -> Order | None:
        return self._kept.get((prefix, box.id, by))

    def put(self, prefix: str, box: Columns, by: Hashable, order: Order) -> None:
        # the UIDs too: after an expunge it may be the only one that has these
        self._kept.put((prefix, box.id, by), order, order.places.itemsize * 2 * order.exists + 400)
