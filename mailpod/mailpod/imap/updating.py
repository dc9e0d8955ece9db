"""Testing again what a search with UPDATE found, as far as messages came or changed (RFC 5267 §4.3).

Invariant: a message is told while others are tested, so tests are of a view that stays as it was; what they gave is
taken in one step, for the view as it is then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING

from pyroaring import BitMap

from mailpod.imap.placing import FEW, Ranks, placed
from mailpod.imap.search import Search
from mailpod.imap.sorting import in_order

if TYPE_CHECKING:
    from mailpod.imap.contexts import Context
    from mailpod.imap.view import View
    from mailpod.services import Services


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
    view = search.view
    if len(added) <= FEW:
        ranks = Ranks(search, context.criteria)
        order = await placed(kept.copy(), added, lambda uid: ranks.at(view.seq_of(uid) - 1))
        if order is not None:
            return order
    positions = sorted(view.seq_of(uid) - 1 for uid in (*kept, *added))
    return [view.uids[at] for at in await in_order(search, positions, context.criteria)]
