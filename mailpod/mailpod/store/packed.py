"""Columns of a page that stay as they were written until somebody asks for them: few readers ask for all of them.

Invariant: decoded or not, a column is the same. What is decoded stays so, and only then is it added to.
Threads may ask for one at the same time.
"""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

import msgspec

from ..errors import Damaged

_T = TypeVar("_T")
_PACK = msgspec.msgpack.Encoder()


class Owner(Protocol):
    """What has such columns."""

    def complete(self) -> None:
        """Put in their slots those that were not read yet. Raises Damaged."""


class Packed(Generic[_T]):
    """A column of a class with slots, kept in the slot of its name behind an underscore: a list, or msgpack of one, or
    None where that is not read yet.

    Asking for it raises Damaged where that is not what is in it: its checksum fitted, so it was written so.
    """

    def __init__(self, column: type[list[_T]]) -> None:
        self._decoder = msgspec.msgpack.Decoder(column)

    def __set_name__(self, owner: type, name: str) -> None:
        self._slot = f"_{name}"

    def __get__(self, page: Owner, owner: type) -> list[_T]:
        column: list[_T] | msgspec.Raw = _read(page, self._slot)
        if isinstance(column, msgspec.Raw):
            try:
                column = self._decoder.decode(column)
            except msgspec.DecodeError as error:
                raise Damaged from error
            setattr(page, self._slot, column)
        return column

    def __set__(self, page: object, column: list[_T] | msgspec.Raw | None) -> None:
        setattr(page, self._slot, column)


def _read(page: Owner, slot: str) -> list[Any] | msgspec.Raw:
    column: list[Any] | msgspec.Raw | None = getattr(page, slot)
    if column is None:
        page.complete()
        column = getattr(page, slot)
        assert column is not None
    return column


def written(page: Owner, name: str) -> msgspec.Raw:
    """A column as it is written. Raises Damaged."""
    column = _read(page, f"_{name}")
    return column if isinstance(column, msgspec.Raw) else msgspec.Raw(_PACK.encode(column))
