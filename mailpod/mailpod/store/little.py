"""Columns of numbers as pages hold them: little-endian, whatever the machine is."""

from __future__ import annotations

import sys
from array import array


def little(column: array[int]) -> bytes:
    """A column as little-endian bytes."""
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column.tobytes()


def unlittle(code: str, data: bytes) -> array[int]:
    column: array[int] = array(code)
    column.frombytes(data)
    if sys.byteorder == "big":
        column.byteswap()
    return column
