"""A message on its way into the store."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to be stored exactly so. `internal_date` in Unix seconds, None for now."""

    data: bytes
    flags: frozenset[str] = frozenset()
    internal_date: int | None = None
    delivery_id: str | None = None
