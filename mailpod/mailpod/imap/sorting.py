"""SORT's order of messages (RFC 5256 §3): of much of a mailbox by the order of all of it, which the pod remembers.

Invariant: what is remembered is complete: an order without a message that could not be read is used once. It is of the
mailbox's own array of UIDs, which tells whether positions are still the same (columns.py).
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import compress
from typing import TYPE_CHECKING, Final

from pyroaring import BitMap

from mailpod.imap.placing import FEW, Ranks, placed
from mailpod.imap.sortkeys import compared
from mailpod.store import Order

if TYPE_CHECKING:
    from mailpod.imap.search import Search
    from mailpod.imap.syntax_search import SortKey

_SHARE: Final = 4  # a smaller share of the mailbox is sorted by itself


async def in_order(search: Search, positions: Sequence[int], criteria: Sequence[SortKey]) -> Sequence[int]:
    """These positions (ascending), sorted. A message whose page is gone is left out."""
    view = search.view
    changing = any(key.name == "RELEVANCY" for key in criteria)  # RFC 6203 §6: another for each search
    if changing or len(positions) * _SHARE < view.exists or view.uids is not view.mailbox.uids:
        return await compared(search, positions, criteria)
    order = await _of_all(search, tuple(criteria))
    if len(positions) == view.exists:
        return order
    wanted = bytearray(view.exists)
    for position in positions:
        wanted[position] = 1
    return list(compress(order, map(wanted.__getitem__, order)))


async def _of_all(search: Search, criteria: tuple[SortKey, ...]) -> Sequence[int]:
    """All positions, in the order that is remembered, or will be."""
    view, uids, exists = search.view, search.view.uids, search.view.exists
    known = view.account.order(view.mailbox, criteria)
    if known is not None and known.uids is uids and known.exists == exists:
        return known.places
    order = await _brought(search, known, criteria) if known is not None else None
    if order is None:
        order = await compared(search, range(exists), criteria)
    if len(order) == exists:
        view.account.keep_order(view.mailbox, criteria, Order(uids, exists, array("I", order)))
    return order


async def _brought(search: Search, known: Order, criteria: Sequence[SortKey]) -> list[int] | None:
    """An order without what went, and with what came; None where that is much."""
    view = search.view
    uids = view.uids[: view.exists]
    came = BitMap(uids) - BitMap(known.uids[: known.exists])
    if len(came) > FEW:
        return None
    if known.uids is view.uids and known.exists <= view.exists:
        kept = known.places.tolist()
    else:
        now = dict(zip(uids, range(view.exists), strict=True))
        there = map(now.get, map(known.uids.__getitem__, known.places))
        kept = [at for at in there if at is not None]
    return await placed(kept, [view.seq_of(uid) - 1 for uid in came], Ranks(search, criteria).at)
