"""The values that SORT and THREAD compare, of many messages: kept beside search postings, or derived from pages.

Invariant: both give the same, and messages come in the order of the mailbox, whatever their values come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from operator import lt
from typing import TYPE_CHECKING, Any, Final

from mailpod.imap.fetchwire import positions_of
from mailpod.imap.sortcolumns import COLUMNS
from mailpod.store.rows import take

if TYPE_CHECKING:
    from mailpod.imap.search import Search
    from mailpod.imap.syntax_search import SortKey
    from mailpod.store import ColumnName

_KEPT: Final[dict[str, ColumnName]] = {
    "DATE": "sent",
    "FROM": "senders",
    "SUBJECT": "bases",
    "THREAD IDS": "ids",
    "THREAD SUBJECT": "subjects",
}


async def gathered(
    search: Search, positions: Sequence[int], names: Sequence[str]
) -> tuple[list[int], dict[str, list[Any]]]:
    """Positions, ascending, and the columns of these names. A message whose page is gone is left out."""
    view = search.view
    found: list[int] = []
    columns: dict[str, list[Any]] = {name: [] for name in names}
    if all(name in _KEPT for name in names):
        asked = [_KEPT[name] for name in columns]
        kept, left = await view.account.sort_keys(view.mailbox, search.uids(positions), asked)
        for segment, rows, uids in kept:
            for run in positions_of(view, uids):
                found += run
            for column, values in zip(columns.values(), segment, strict=True):
                column += take(values, rows)
        positions = [view.seq_of(uid) - 1 for uid in left]
    async for page, rows, part in search.pages(positions, whole=True):
        found += part
        for name, column in columns.items():
            column += COLUMNS[name](page, rows)
    if all(map(lt, found, islice(found, 1, None))):
        return found, columns
    order = sorted(range(len(found)), key=found.__getitem__)
    return [found[at] for at in order], {name: [column[at] for at in order] for name, column in columns.items()}


async def compared(search: Search, positions: Sequence[int], criteria: Sequence[SortKey]) -> list[int]:
    """These positions (ascending), sorted. A message whose page is gone is left out."""
    found, columns = await gathered(search, positions, names_of(criteria))
    if any(key.name == "RELEVANCY" for key in criteria):
        columns["RELEVANCY"] = [-search.relevancy(at) for at in found]  # RFC 6203 §6: the highest first
    order = list(range(len(found)))
    # the first key counts most, and equals stay in the order of the mailbox (RFC 5256 §3), reversed or not
    for key in reversed(criteria):
        order.sort(key=columns[key.name].__getitem__, reverse=key.reverse)
    return list(map(found.__getitem__, order))


def names_of(criteria: Sequence[SortKey]) -> list[str]:
    """The columns that are to be gathered for these."""
    return [name for name in dict.fromkeys(key.name for key in criteria) if name != "RELEVANCY"]
