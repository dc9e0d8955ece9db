"""Columns of a page: picked rows, and what was made of a column, kept for the next who asks the same.

Invariants: a derived column is a function of the page's own rows, which never change, so it needs no invalidation; the
tail of a mailbox is a page that grows, and its derived columns grow with it. A page keeps few of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Final, TypeVar, cast

if TYPE_CHECKING:
    from mailpod.store import Page

_T = TypeVar("_T")
_KEPT: Final = 16  # derived columns a page


def take(column: Sequence[_T], rows: Sequence[int]) -> Sequence[_T]:
    """The entries of `column` at `rows` (ascending)."""
    if not rows:
        return []
    if rows[-1] - rows[0] == len(rows) - 1:
        return column if len(rows) == len(column) else column[rows[0] : rows[-1] + 1]
    picked: tuple[_T, ...] = itemgetter(*rows)(column)
    return picked


def derive(page: Page, key: Hashable, rows: Sequence[int], make: Callable[[Sequence[int]], list[_T]]) -> Sequence[_T]:
    """`make(rows)`; remembered for the whole page when it is asked for much of it."""
    known = cast("list[_T] | None", page.derived.get(key))
    if known is None and 2 * len(rows) < len(page):
        return make(rows)
    if known is None:
        while len(page.derived) >= _KEPT:
            page.derived.pop(next(iter(page.derived)))
        known = page.derived[key] = []
    if len(known) < len(page):
        known += make(range(len(known), len(page)))
    return take(known, rows)
