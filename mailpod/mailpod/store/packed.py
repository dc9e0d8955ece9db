"""Columns of a page that stay as they were written until somebody asks for them: few readers ask for all of them.

Invariant: decoded or not, a column is the same. What is decoded stays so, and only then is it added to.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from ..errors import Damaged

_T = TypeVar("_T")
_PACK = msgspec.msgpack.Encoder()


class Packed(Generic[_T]):
    """A column of a class with slots, kept in the slot of its name behind an underscore: a list, or msgpack of one.

    Asking for it raises Damaged where that is not what is in it: its checksum fitted, so it was written so.
    """

    def __init__(self, column: type[list[_T]]) -> None:
        self._decoder = msgspec.msgpack.Decoder(column)

    def __set_name__(self, owner: type, name: str) -> None:
        self._slot = f"_{name}"

    def __get__(self, page: object, owner: type) -> list[_T]:
        column: list[_T] | msgspec.Raw = getattr(page, self._slot)
        if isinstance(column, msgspec.Raw):
            try:
                column = self._decoder.decode(column)
            except msgspec.DecodeError as error:
                raise Damaged from error
            setattr(page, self._slot, column)
        return column

    def __set__(self, page: object, column: list[_T] | msgspec.Raw) -> None:
        setattr(page, self._slot, column)


def written(page: object, name: str) -> msgspec.Raw:
    """A column as it is written."""
    column: list[Any] | msgspec.Raw = getattr(page, f"_{name}")
    return column if isinstance(column, msgspec.Raw) else msgspec.Raw(_PACK.encode(column))
