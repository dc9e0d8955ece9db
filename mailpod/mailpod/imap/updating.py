"""Testing again what a search with UPDATE found, as far as messages came or changed (RFC 5267 §4.3).

Invariant: a message is told while others are tested, so tests are of a view that stays as it was; what they gave is
taken in one step, for the view as it is then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import total_ordering
from typing import TYPE_CHECKING, Any, Final

from pyroaring import BitMap

from mailpod.imap.search import Search
from mailpod.imap.sortkeys import gathered, in_order

if TYPE_CHECKING:
    from mailpod.imap.contexts import Context
    from mailpod.imap.syntax_search import SortKey
    from mailpod.imap.view import View
    from mailpod.services import Services

_FEW: Final = 16  # messages for each of which a place is looked for; for more all are sorted


async def updates(view: View, services: Services, wanted: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Responses that tell what changed in the results of the view's searches, as long as they are wanted: each is to be
    sent at once. Raises what reading messages raises; what was not told then comes after the next change."""
    for context in list(view.contexts.values()):
        if context.due(view) and wanted():
            search = Search(view.as_told(), services.budget, _pause, services.clock.now())
            found = await _update(view, context, search, wanted)
            if found:
                yield found


async def _pause(_messages: int) -> None:
    await asyncio.sleep(0)


async def _update(view: View, context: Context, search: Search, wanted: Callable[[], bool]) -> bytes:
    modseq, last = view.mailbox.highest_modseq, view.last_uid
    positions = context.untested(search.view)
    tested = BitMap(search.uids(positions)) if positions else BitMap()
    found = BitMap(search.uids(await search.run(context.key, positions)))
    lost, added = context.members & tested - found, found - context.members
    order = await _order(search, context, lost, added) if context.criteria and added else ()
    if not wanted():
        return b""
    known, context.modseq, context.last = context.last, modseq, last
    told = context.become(view, lost, added, order)
    if context.items:  # RFC 5465 §7: not of one that came by a change of its flags
        view.fetch_later((uid for uid in added & context.members if uid > known), context.items)
    return told


async def _order(search: Search, context: Context, lost: BitMap, added: BitMap) -> Sequence[int]:
    """SORT's results with what came, without what went."""
    kept = [uid for uid in context.order if uid not in lost]
    if len(added) <= _FEW:
        placed = await _placed(search, context.criteria, kept, list(added))
        if placed is not None:
            return placed
    view = search.view
    positions = sorted(view.seq_of(uid) - 1 for uid in (*kept, *added))
    return [view.uids[at] for at in await in_order(search, positions, context.criteria)]


async def _placed(
    search: Search, criteria: Sequence[SortKey], order: list[int], added: Sequence[int]
) -> list[int] | None:
    """`order` with each of `added` in its place, by reading a few of the others; None where one cannot be read."""
    known: dict[int, _Rank] = {}

    async def rank(uid: int) -> _Rank | None:
        if uid not in known:
            positions, columns = await gathered(search, [search.view.seq_of(uid) - 1], _names(criteria))
            if not positions:
                return None
            known[uid] = _Rank(criteria, {name: column[0] for name, column in columns.items()}, uid)
        return known[uid]

    for uid in added:
        own = await rank(uid)
        low, high = 0, len(order)
        while low < high:
            middle = (low + high) // 2
            other = await rank(order[middle])
            if own is None or other is None:
                return None
            low, high = (middle + 1, high) if other < own else (low, middle)
        order.insert(low, uid)
    return order


def _names(criteria: Sequence[SortKey]) -> list[str]:
    return list(dict.fromkeys(key.name for key in criteria))


@total_ordering
class _Rank:
    """Where a message is among others: as sortkeys.in_order sorts."""

    __slots__ = ("_criteria", "_uid", "_values")

    def __init__(self, criteria: Sequence[SortKey], values: dict[str, Any], uid: int) -> None:
        self._criteria = criteria
        self._values = values
        self._uid = uid

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Rank) and self._uid == other._uid

    def __hash__(self) -> int:
        return self._uid

    def __lt__(self, other: _Rank) -> bool:
        for key in self._criteria:
            mine, theirs = self._values[key.name], other._values[key.name]
            if mine != theirs:
                return bool((mine < theirs) is not key.reverse)
        return self._uid < other._uid
