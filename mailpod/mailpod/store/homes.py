"""Homes: which object holds the bytes of each live message, and how much each object holds.

- Part of the state, and so a pure function of the log: a message's home is where its last `append`, `copy` or applied
  `relocate` says its bytes are, and no page needs to be read to know it.
- Collection rests on this: an object that no live message has as its home is never named by a commit again, since COPY
  takes the home that the source has when the commit is evaluated (STORE.md rule 11).
- A message that was copied counts once for each copy, so `bytes` is an upper bound of what is alive in an object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

FIRST_PACK: Final = 1 << 31  # numbers below are the sequences of commits


class Held(NamedTuple):
    """An object (its key without the account's prefix), and the live messages whose bytes it holds."""

    number: int
    key: str
    messages: int
    bytes: int


class Homes:
    """An account's objects by number. Numbers of packs are given in the order of first reference, each once."""

    def __init__(self) -> None:
        self.next_pack = 0
        self._held: dict[int, list[int]] = {}
        self._keys: dict[int, str] = {}  # of packs
        self._numbers: dict[str, int] = {}

    def number(self, key: str) -> int:
        """The number of an object that a message's bytes are said to be in. Raises ValueError for another key."""
        found = self.find(key)
        if found >= 0:
            return found
        if not key.startswith("pack/"):
            raise ValueError(f"no place for messages: {key!r}")
        number = FIRST_PACK + self.next_pack
        self.next_pack += 1
        self._keys[number], self._numbers[key] = key, number
        return number

    def find(self, key: str) -> int:
        """The number of an object, -1 where it is a pack that holds nothing."""
        return int(key[4:]) if key.startswith("log/") else self._numbers.get(key, -1)

    def key(self, number: int) -> str:
        return self._keys[number] if number >= FIRST_PACK else f"log/{number:020d}"

    def enter(self, number: int, size: int, messages: int = 1) -> None:
        """Messages, together of `size` octets, have their bytes there."""
        held = self._held.get(number)
        if held is None:
            self._held[number] = [messages, size]
        else:
            held[0] += messages
            held[1] += size

    def leave(self, number: int, size: int) -> None:
        held = self._held[number]
        held[0] -= 1
        held[1] -= size
        if not held[0]:
            del self._held[number]
            if number >= FIRST_PACK:
                del self._numbers[self._keys.pop(number)]

    def held(self) -> Iterator[Held]:
        for number, (messages, size) in self._held.items():
            yield Held(number, self.key(number), messages, size)

    def restore(self, held: Iterable[tuple[int, str, int, int]], next_pack: int) -> None:
        """As a checkpoint has it; the keys of commits are not written out there."""
        self.next_pack = next_pack
        for number, key, messages, size in held:
            self._held[number] = [messages, size]
            if number >= FIRST_PACK:
                self._keys[number], self._numbers[key] = key, number
