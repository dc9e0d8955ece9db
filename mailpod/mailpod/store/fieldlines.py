"""Where the header fields that a page keeps end: HEADER.FIELDS of a mailbox is slices then, and no search.

Invariant: this says nothing that the kept fields do not say. A page without it is searched: an older one, one of few
rows, and one with a message whose kept fields are almost 64 KiB or are not fields.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from itertools import accumulate, repeat, zip_longest
from typing import Final, TypeAlias

import msgspec

from .little import little, unlittle
from .rows import take

_FIELD: Final = re.compile(rb"^[^: \t\n]+[ \t]*:[^\n]*\n(?:[ \t][^\n]*\n)*", re.MULTILINE)
_WORTH: Final = 250  # rows: a smaller page will grow, and is searched soon enough
_LIMIT: Final = 0xFFFD
_ARRAY, _SHORT, _LONG = 3, 2, 3
"""Octets with which msgpack begins a list of 16 to 65,535, and its members of less than 256 octets and of more."""
_Runs: TypeAlias = tuple[tuple[int, int], ...]


class FieldLines(msgspec.Struct, array_like=True):
    """The names of a message's fields in their order are its shape: lower case, with blanks between."""

    shapes: list[bytes]
    shape: bytes
    """Of each row, 2 octets."""
    ends: list[bytes]
    """Of the n-th field of each row, 2 octets: where it ends in the row's fields; of a row that has fewer, 0."""
    steps: bytes
    """Of each row, 2 octets: how far its fields begin, in the column as it is written, behind the row before's."""

    def fits(self, rows: int) -> bool:
        """Whether this is of a page of so many rows."""
        return all(len(each) == 2 * rows for each in (self.shape, self.steps, *self.ends))

    def holds(self, column: Sequence[bytes]) -> bool:
        """Whether this says what the page's kept fields do."""
        return self == _said(column)

    def chosen(self, written: bytes, names: frozenset[bytes], rows: Sequence[int]) -> list[bytes]:
        """Of these rows of the kept fields those of these names, in their order, each time with the empty line."""
        if not rows:
            return []
        starts = list(accumulate(unlittle("H", self.steps)))
        runs = [_runs(shape.split(b" "), names) for shape in self.shapes]
        if len(set(runs)) == 1:
            return self._cut(written, take(starts, rows), runs[0], rows)
        shape = unlittle("H", self.shape)
        groups: dict[_Runs, list[int]] = {}
        for at, row in enumerate(rows):
            groups.setdefault(runs[shape[row]], []).append(at)
        out = [b""] * len(rows)
        for wanted, places in groups.items():
            picked = [rows[at] for at in places]
            for at, value in zip(places, self._cut(written, take(starts, picked), wanted, picked), strict=True):
                out[at] = value
        return out

    def _cut(self, written: bytes, starts: Sequence[int], runs: _Runs, rows: Sequence[int]) -> list[bytes]:
        pieces = []
        for first, after in runs:
            ends = self._ends(after, rows)
            if first:
                begins = self._ends(first, rows)
                each = zip(starts, begins, ends, strict=True)
                pieces.append([written[start + begin : start + end] for start, begin, end in each])
            elif len(runs) == 1:
                return [written[start : start + end] + b"\r\n" for start, end in zip(starts, ends, strict=True)]
            else:
                pieces.append([written[start : start + end] for start, end in zip(starts, ends, strict=True)])
        return list(map(b"".join, zip(*pieces, repeat(b"\r\n", len(rows)), strict=True)))

    def _ends(self, count: int, rows: Sequence[int]) -> Sequence[int]:
        return take(unlittle("H", self.ends[count - 1]), rows)


def field_lines(column: Sequence[bytes]) -> FieldLines | None:
    """Of a page's kept fields; None where it is not worth it, or cannot be said."""
    return _said(column) if _WORTH <= len(column) < _LIMIT else None


def _said(column: Sequence[bytes]) -> FieldLines | None:
    numbers: dict[bytes, int] = {}
    shape, steps, before = array("H"), array("H"), _ARRAY
    rows: list[list[int]] = []
    starts = [b"\n"]  # how the fields of the row before begin; no field does so
    for raw in column:
        if len(raw) >= _LIMIT:
            return None
        fields = raw.split(b"\n")[:-1]
        if len(fields) != len(starts) or not all(map(bytes.startswith, fields, starts)):
            fields = [field[:-1] for field in _FIELD.findall(raw)]
            names = [field.partition(b":")[0] for field in fields]
            starts = [name + b":" for name in names]
            shown = b" ".join([name.rstrip(b" \t") for name in names]).lower()
            number = numbers.setdefault(shown, len(numbers))
        ends = list(accumulate([len(field) + 1 for field in fields]))
        if len(raw) != (ends[-1] if ends else 0):
            return None
        rows.append(ends)
        shape.append(number)
        steps.append(before + (_SHORT if len(raw) < 256 else _LONG))
        before = len(raw)
    columns = [little(array("H", ends)) for ends in zip_longest(*rows, fillvalue=0)]
    return FieldLines(list(numbers), little(shape), columns, little(steps))


def _runs(shape: Sequence[bytes], names: frozenset[bytes]) -> _Runs:
    """Which fields these are: from so many on, up to so many."""
    wanted = {number for number, name in enumerate(shape) if name in names}
    starts = sorted(number for number in wanted if number - 1 not in wanted)
    ends = sorted(number + 1 for number in wanted if number + 1 not in wanted)
    return tuple(zip(starts, ends, strict=True))
