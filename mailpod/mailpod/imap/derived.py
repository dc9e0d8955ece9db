"""What was made of a column of a page, kept for the next who asks the same.

Invariants: a derived column is a function of the page's own rows, which never change, so it needs no invalidation; the
tail of a mailbox is a page that grows, and its derived columns grow with it. A page keeps few of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar, cast

from mailpod.store.rows import take

if TYPE_CHECKING:
    from mailpod.store import Page

_T = TypeVar("_T")
_KEPT: Final = 16  # derived columns a page


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
