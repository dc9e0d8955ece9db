"""Where the bytes of a message are."""

from __future__ import annotations

import msgspec


class Location(msgspec.Struct, frozen=True, eq=False):
    """Where a message's bytes are: an object of the account (its key without the account's prefix) and a range.

    `uid` says whose they are, so that they are found again after they were moved (STORE.md rule 13); 0: not known.
    Equal is what is at the same place. Downloads make one a message: a dataclass takes five times as long.
    """

    key: str
    offset: int
    length: int
    checksum: bytes
    uid: int = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Location) and self._place == other._place

    def __ne__(self, other: object) -> bool:
        return not self.__eq__(other)  # msgspec's own has all differ

    def __hash__(self) -> int:
        return hash(self._place)

    @property
    def _place(self) -> tuple[str, int, int, bytes]:
        return self.key, self.offset, self.length, self.checksum
