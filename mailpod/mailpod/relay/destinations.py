"""What this pod knows of each destination: how many are at it, its idle sessions, and how long it is left alone.

A destination is a recipients' domain, or the smarthost. One that is forgotten costs a new connection, nothing else.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from mailpod import metrics
from mailpod.clock import Clock
from mailpod.relay.session import Session
from mailpod.relay.settings import OutboundSettings

_MOST: Final = 10_000  # destinations remembered


@dataclass(slots=True)
class Lane:
    """One destination."""

    active: int = 0
    idle: list[Session] = field(default_factory=list)
    failures: int = 0
    """In a row, at which no server was reached."""
    closed_until: float = 0.0  # Clock.elapsed


class Destinations:
    """`enter` before an attempt, `leave` after it. `on_room` is called with whatever has room again."""

    def __init__(self, settings: OutboundSettings, clock: Clock, rng: random.Random) -> None:
        self._settings, self._clock, self._rng = settings, clock, rng
        self._lanes: OrderedDict[str, Lane] = OrderedDict()
        self._active = 0
        self._closing: set[asyncio.Task[None]] = set()
        self._timers: dict[Session, asyncio.TimerHandle] = {}
        self.on_room: Callable[[str], None] = lambda _: None

    @property
    def full(self) -> bool:
        """Whether this pod is at all the connections that it may have."""
        return self._active >= self._settings.connections

    def has_room(self, name: str) -> bool:
        lane = self._lanes.get(name)
        return not self.full and (lane is None or lane.active < self._settings.connections_per_destination)

    def closed_for(self, name: str) -> float:
        """Seconds that it is still left alone."""
        lane = self._lanes.get(name)
        return max(0.0, lane.closed_until - self._clock.elapsed()) if lane else 0.0

    def enter(self, name: str) -> bool:
        """Take a place at it, if there is one."""
        if not self.has_room(name) or self.closed_for(name):
            return False
        self._lane(name).active += 1
        self._active += 1
        metrics.OUTBOUND_CONNECTIONS.set(self._active)
        return True

    def leave(self, name: str) -> None:
        self._lane(name).active -= 1
        self._active -= 1
        metrics.OUTBOUND_CONNECTIONS.set(self._active)
        self.on_room(name)

    def reached(self, name: str) -> None:
        lane = self._lane(name)
        lane.failures, lane.closed_until = 0, 0.0

    def unreachable(self, name: str) -> None:
        """None of its servers could be talked to: leave it alone for a while, longer each time."""
        limits, lane = self._settings, self._lane(name)
        if lane.closed_until > self._clock.elapsed():  # attempts that began together fail together
            return
        seconds = min(limits.backoff_first * 2 ** min(lane.failures, 20), limits.backoff_longest)
        lane.failures += 1
        lane.closed_until = self._clock.elapsed() + seconds * self._rng.uniform(0.75, 1.25)

    def take_idle(self, name: str) -> Session | None:
        """The session used last, if one is open."""
        idle = self._lane(name).idle
        while idle:
            session = idle.pop()
            self._timers.pop(session).cancel()
            if session.reusable:
                return session
            self.dismiss(session)
        return None

    def keep(self, name: str, session: Session) -> None:
        """Leave it open for the next message, for a moment."""
        if not session.reusable:
            self.dismiss(session)
            return
        self._lane(name).idle.append(session)
        loop = asyncio.get_running_loop()
        self._timers[session] = loop.call_later(self._settings.idle_seconds, self._expire, name, session)

    async def close(self) -> None:
        """Take leave of all idle sessions."""
        for name, lane in list(self._lanes.items()):
            for session in list(lane.idle):
                self._timers[session].cancel()
                self._expire(name, session)
        if self._closing:
            await asyncio.gather(*self._closing, return_exceptions=True)

    def _lane(self, name: str) -> Lane:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane()
            self._forget()
        self._lanes.move_to_end(name)
        return lane

    def _forget(self) -> None:
        """The least lately used that nobody is at."""
        if len(self._lanes) > _MOST:
            for name, lane in list(self._lanes.items())[:100]:
                if not lane.active and not lane.idle:
                    del self._lanes[name]

    def _expire(self, name: str, session: Session) -> None:
        self._timers.pop(session, None)
        self._lane(name).idle.remove(session)
        self.dismiss(session)

    def dismiss(self, session: Session) -> None:
        """QUIT, in the background."""
        task = asyncio.get_running_loop().create_task(session.quit())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
