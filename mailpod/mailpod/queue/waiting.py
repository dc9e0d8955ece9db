"""Entries that wait for a place at a destination: in turn, and no destination's backlog in another's way."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator


class Waiting:
    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[tuple[str, int]]] = OrderedDict()

    def add(self, entry_id: str, seen: int, destinations: Collection[str]) -> None:
        """At the first of its destinations."""
        self._lines.setdefault(min(destinations), deque()).append((entry_id, seen))

    def line(self, destinations: Collection[str]) -> bool:
        """Whether somebody waits where one for these destinations would."""
        return bool(destinations) and min(destinations) in self._lines

    def discard(self, entry_id: str, destinations: Collection[str]) -> None:
        """It waits no more: a place that comes free is for who does."""
        name = min(destinations)
        line = deque(item for item in self._lines.pop(name, ()) if item[0] != entry_id)
        if line:
            self._lines[name] = line

    def next(self, name: str, has_room: Callable[[str], bool]) -> Iterator[tuple[str, int]]:
        """Who goes on now that a place at `name` is free: the next there, else the next anywhere that has room."""
        chosen = name if name in self._lines else next(filter(has_room, self._lines), None)
        if chosen is None or not has_room(chosen):
            return
        line = self._lines[chosen]
        yield line.popleft()
        if line:
            self._lines.move_to_end(chosen)  # the others first, next time
        else:
            del self._lines[chosen]
