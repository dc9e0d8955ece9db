"""A few messages put where they belong among sorted ones, by reading a few of the others (RFC 5256 §3).

Invariant: what comes of it is what sorting all of them would give.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import total_ordering
from typing import TYPE_CHECKING, Any, Final

from mailpod.imap.sortkeys import gathered, names_of

if TYPE_CHECKING:
    from mailpod.imap.search import Search
    from mailpod.imap.syntax_search import SortKey

FEW: Final = 16
"""Messages for each of which a place is looked for; for more all are sorted."""


async def placed(
    order: list[int], added: Iterable[int], rank: Callable[[int], Awaitable[Rank | None]]
) -> list[int] | None:
    """`order` with each of `added` in its place; None where one cannot be read. Numbers are what `rank` takes."""
    for each in added:
        own = await rank(each)
        low, high = 0, len(order)
        while low < high:
            middle = (low + high) // 2
            other = await rank(order[middle])
            if own is None or other is None:
                return None
            low, high = (middle + 1, high) if other < own else (low, middle)
        order.insert(low, each)
    return order


class Ranks:
    """Of the messages of one search, read when they are asked for."""

    def __init__(self, search: Search, criteria: Sequence[SortKey]) -> None:
        self._search = search
        self._criteria = criteria
        self._names = names_of(criteria)
        self._known: dict[int, Rank] = {}

    async def at(self, position: int) -> Rank | None:
        """None where it cannot be read."""
        if position not in self._known:
            found, columns = await gathered(self._search, [position], self._names)
            if not found:
                return None
            values = {name: column[0] for name, column in columns.items()}
            self._known[position] = Rank(self._criteria, values, position)
        return self._known[position]


@total_ordering
class Rank:
    """Where a message is among others: as sortkeys.compared sorts."""

    __slots__ = ("_criteria", "_position", "_values")

    def __init__(self, criteria: Sequence[SortKey], values: dict[str, Any], position: int) -> None:
        self._criteria = criteria
        self._values = values
        self._position = position

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rank) and self._position == other._position

    def __hash__(self) -> int:
        return self._position

    def __lt__(self, other: Rank) -> bool:
        for key in self._criteria:
            mine, theirs = self._values[key.name], other._values[key.name]
            if mine != theirs:
                return bool((mine < theirs) is not key.reverse)
        return self._position < other._position
