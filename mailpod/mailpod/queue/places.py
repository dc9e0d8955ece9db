"""Places at destinations: which of an entry's take a message of ours now, and who is next where one comes free.

- A destination takes few messages of ours at a time (relay/destinations.py); whoever finds no place waits in its turn
  and looks at nothing meanwhile.
- A first attempt waits for a place without a claim of its own to renew, so not for long; any other entry waits here
  and stays due, at the latest when a retry would be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final

from mailpod.clock import Clock
from mailpod.queue.due import Due
from mailpod.queue.schedule import Known
from mailpod.queue.waiting import Waiting
from mailpod.relay.destinations import Destinations
from mailpod.relay.settings import OutboundSettings

_PATIENCE: Final = 1 / 3  # of the time until a first attempt's final dot, for the wait


class Places:
    """One per pod; it is told by `destinations` of each place that comes free."""

    def __init__(self, destinations: Destinations, due: Due, settings: OutboundSettings, clock: Clock) -> None:
        self._destinations = destinations
        self._due = due
        self._settings = settings
        self._clock = clock
        self._waiting = Waiting()
        self._firsts: dict[str, asyncio.Event] = {}  # first attempts that wait, which are told of a place
        self._stopping = False
        destinations.on_room = self.on_room

    def enter(self, known: Known) -> list[str]:
        """The entry's destinations at which there is a place, taken."""
        return [name for name in known.destinations if self._destinations.enter(name)]

    def leave(self, names: Collection[str]) -> None:
        for name in names:
            self._destinations.leave(name)

    def at_once(self, known: Known) -> bool:
        """Whether a first attempt begins now, or as soon as one of the few before it leaves its place."""
        return not self._closed(known) and not self._stopping and len(self._firsts) < self._settings.waiting

    async def first(self, entry_id: str, known: Known) -> list[str]:
        """Places for a first attempt, waited for in turn; none where that takes too long."""
        until = self._clock.elapsed() + self._settings.dot_within * _PATIENCE
        while not (places := self.enter(known)) and known.destinations and not known.local:
            left = until - self._clock.elapsed()
            if self._stopping or left <= 0 or self._closed(known):
                break
            room = self._firsts[entry_id] = asyncio.Event()
            self._waiting.add(entry_id, 0, known.destinations)
            try:
                await asyncio.wait_for(room.wait(), left)
            except TimeoutError:
                self._waiting.discard(entry_id, known.destinations)
            finally:
                del self._firsts[entry_id]
        return places

    def wait(self, entry_id: str, seen: int, known: Known) -> None:
        """No destination takes more of ours now: due again when one does, or is not left alone any more."""
        closed = min(map(self._destinations.closed_for, known.destinations))
        if closed:
            self._due.add(entry_id, seen, closed)
        else:
            self._waiting.add(entry_id, seen, known.destinations)
            self._due.add(entry_id, seen, self._settings.retry_first)  # at the latest

    def open_to(self, known: Known) -> bool:
        """Whether nobody waits before it and one of its destinations takes more of ours, or it has recipients here."""
        if self._waiting.line(known.destinations):
            return False
        lanes = self._destinations
        return known.local or any(lanes.has_room(name) and not lanes.closed_for(name) for name in known.destinations)

    def on_room(self, name: str) -> None:
        """A place at `name` is free, or is not wanted by whom it was offered to."""
        for entry_id, seen in self._waiting.next(name, self._destinations.has_room):
            if first := self._firsts.get(entry_id):
                first.set()
            else:
                self._due.add(entry_id, seen, 0.0)

    def stop(self) -> None:
        """First attempts that wait for a place are other pods' from now on."""
        self._stopping = True
        for room in self._firsts.values():
            room.set()

    def _closed(self, known: Known) -> bool:
        """Whether one of its destinations is left alone for a while."""
        return any(map(self._destinations.closed_for, known.destinations))
