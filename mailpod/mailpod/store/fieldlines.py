"""Where the header fields that a page keeps end: HEADER.FIELDS of a mailbox is slices then, and no search.

Invariant: this says nothing that the kept fields do not say. A page without it is searched: an older one, one of few
rows, and one with a message whose kept fields are 64 KiB or are not fields.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from itertools import repeat, zip_longest
from operator import itemgetter
from typing import Final, TypeAlias, TypeVar

import msgspec

from .little import little, unlittle

_T = TypeVar("_T")
_FIELD: Final = re.compile(rb"([^: \t\n]++)[ \t]*+:[^\n]*+\n(?:[ \t][^\n]*+\n)*+")
_WORTH: Final = 50  # rows: a smaller page will grow, and is searched soon enough
_LIMIT: Final = 0x10000
_Runs: TypeAlias = tuple[tuple[int, int], ...]


class FieldLines(msgspec.Struct, array_like=True):
    """The names of a message's fields in their order are its shape: lower case, with blanks between."""

    shapes: list[bytes]
    shape: bytes
    """Of each row, 2 octets."""
    ends: list[bytes]
    """Of the n-th field of each row, 2 octets: where it ends; of a row that has fewer, 0."""

    def fits(self, rows: int) -> bool:
        """Whether this is of a page of so many rows."""
        return len(self.shape) == 2 * rows and all(len(ends) == len(self.shape) for ends in self.ends)

    def chosen(self, column: Sequence[bytes], names: frozenset[bytes], rows: Sequence[int]) -> list[bytes]:
        """Of these rows of the kept fields those of these names, in their order, each time with the empty line."""
        if not rows:
            return []
        runs = [_runs(shape.split(b" "), names) for shape in self.shapes]
        if len(set(runs)) == 1:
            return self._cut(column, runs[0], rows)
        shape = unlittle("H", self.shape)
        groups: dict[_Runs, list[int]] = {}
        for at, row in enumerate(rows):
            groups.setdefault(runs[shape[row]], []).append(at)
        out = [b""] * len(rows)
        for wanted, places in groups.items():
            for at, value in zip(places, self._cut(column, wanted, [rows[at] for at in places]), strict=True):
                out[at] = value
        return out

    def _cut(self, column: Sequence[bytes], runs: _Runs, rows: Sequence[int]) -> list[bytes]:
        kept = _picked(column, rows)
        pieces = []
        for first, after in runs:
            ends = self._ends(after, rows)
            if first:
                starts = self._ends(first, rows)
                pieces.append([raw[start:end] for raw, start, end in zip(kept, starts, ends, strict=True)])
            elif len(runs) == 1:
                return [raw[:end] + b"\r\n" for raw, end in zip(kept, ends, strict=True)]
            else:
                pieces.append([raw[:end] for raw, end in zip(kept, ends, strict=True)])
        return list(map(b"".join, zip(*pieces, repeat(b"\r\n", len(rows)), strict=True)))

    def _ends(self, count: int, rows: Sequence[int]) -> Sequence[int]:
        return _picked(unlittle("H", self.ends[count - 1]), rows)


def field_lines(column: Sequence[bytes]) -> FieldLines | None:
    """Of a page's kept fields; None where it is not worth it, or cannot be said."""
    if not _WORTH <= len(column) <= _LIMIT:
        return None
    numbers: dict[bytes, int] = {}
    shape = array("H")
    rows = []
    for raw in column:
        fields = list(_FIELD.finditer(raw))
        ends = [field.end() for field in fields]
        if [field.start() for field in fields] + [len(raw)] != [0, *ends] or len(raw) >= _LIMIT:
            return None
        names = b" ".join([field[1] for field in fields]).lower()
        shape.append(numbers.setdefault(names, len(numbers)))
        rows.append(ends)
    columns = zip_longest(*rows, fillvalue=0)
    return FieldLines(list(numbers), little(shape), [little(array("H", ends)) for ends in columns])


def _runs(shape: Sequence[bytes], names: frozenset[bytes]) -> _Runs:
    """Which fields these are: from so many on, up to so many."""
    wanted = {number for number, name in enumerate(shape) if name in names}
    starts = sorted(number for number in wanted if number - 1 not in wanted)
    ends = sorted(number + 1 for number in wanted if number + 1 not in wanted)
    return tuple(zip(starts, ends, strict=True))


def _picked(column: Sequence[_T], rows: Sequence[int]) -> Sequence[_T]:
    """The entries at `rows`, of which there are some, ascending."""
    if rows[-1] - rows[0] == len(rows) - 1:
        return column if len(rows) == len(column) else column[rows[0] : rows[-1] + 1]
    picked: tuple[_T, ...] = itemgetter(*rows)(column)
    return picked
