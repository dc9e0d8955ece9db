"""An entry's recipients, sorted: whose mailboxes are here, and to which destinations the others go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.queue.schedule import Known
from mailpod.store.outbound import SpoolEntry

if TYPE_CHECKING:
    from mailpod.directory import Directory
    from mailpod.relay.relay import Relay


async def sort(entry: SpoolEntry, directory: Directory, relay: Relay, *, outward: bool | None) -> Known:
    """`outward` is what the entry was made with, None before it is made. Raises Unavailable."""
    domains = {recipient.rpartition("@")[2] for recipient in entry.recipients}
    served = {name for name in domains if await directory.domain(name) is not None}
    away = [recipient for recipient in entry.recipients if recipient.rpartition("@")[2] not in served]
    if outward is False:  # it is made without a claim, so nothing of it goes elsewhere
        away = []
    destinations = frozenset(map(relay.destination, away)) if away else frozenset()
    return Known(bool(away), entry.holder, destinations, len(away) < len(entry.recipients))
