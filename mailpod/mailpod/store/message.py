"""A message on its way into the store."""

from __future__ import annotations

from math import inf

import msgspec


class NewMessage(msgspec.Struct, frozen=True):
    """A message to be stored exactly so. `internal_date` in Unix seconds, None for now;
    `internal_zone` is its zone in minutes east of UTC.

    No commit is made with it after `not_after` (Clock.elapsed): delivery ids are forgotten (STORE.md rule 17).
    """

    data: bytes
    flags: frozenset[str] = frozenset()
    internal_date: int | None = None
    internal_zone: int = 0
    delivery_id: str | None = None
    not_after: float = inf
