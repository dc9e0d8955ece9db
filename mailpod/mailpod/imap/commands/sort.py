"""SORT and UID SORT (RFC 5256 §3, RFC 7162 §3.1.6), with RETURN (RFC 5267 §3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailpod.imap.commands.search import answer, begin
from mailpod.imap.sortkeys import gathered
from mailpod.imap.syntax_search import SortKey

if TYPE_CHECKING:
    from mailpod.imap.reply import Done
    from mailpod.imap.search import Search
    from mailpod.imap.session import Session
    from mailpod.imap.syntax_search import SortArgs


async def run(session: Session, args: SortArgs) -> Done:
    """Raises what reading messages raises."""
    return await answer(session, args.search, b"* SORT", _sorted(begin(session, args.search), args))


async def _sorted(search: Search, args: SortArgs) -> list[int]:
    return await in_order(search, await search.run(args.search.key), args.criteria)


async def in_order(search: Search, positions: Sequence[int], criteria: Sequence[SortKey]) -> list[int]:
    """These positions, sorted. A message whose page is gone is left out."""
    found, columns = await gathered(search, positions, list(dict.fromkeys(key.name for key in criteria)))
    order = list(range(len(found)))
    # the first key counts most, and equals stay in the order of the mailbox (RFC 5256 §3), reversed or not
    for key in reversed(criteria):
        order.sort(key=columns[key.name].__getitem__, reverse=key.reverse)
    return [found[at] for at in order]
