"""Rows of columns that are aligned, taken out of one of them or of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, TypeVar

_T = TypeVar("_T")


def picking(rows: Sequence[int]) -> Callable[[Any], Any]:
    """What takes these rows, one at least, which ascend, out of a column. Nearly always they lie together."""
    if rows[-1] - rows[0] + 1 == len(rows):
        return itemgetter(slice(rows[0], rows[-1] + 1))
    return lambda column: list(map(column.__getitem__, rows))


def take(column: Sequence[_T], rows: Sequence[int]) -> Sequence[_T]:
    """The entries of `column` at `rows` (ascending)."""
    if not rows:
        return []
    if rows[-1] - rows[0] == len(rows) - 1:
        return column if len(rows) == len(column) else column[rows[0] : rows[-1] + 1]
    picked: tuple[_T, ...] = itemgetter(*rows)(column)
    return picked
