"""Rows of columns that are aligned: those of a page, taken out of each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any


def picking(rows: Sequence[int]) -> Callable[[Any], Any]:
    """What takes these rows, one at least, which ascend, out of a column. Nearly always they lie together."""
    if rows[-1] - rows[0] + 1 == len(rows):
        return itemgetter(slice(rows[0], rows[-1] + 1))
    return lambda column: list(map(column.__getitem__, rows))
