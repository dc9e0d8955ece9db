"""All open connections: how many there may be, and the one clock that idle ones share.

- `admit` and `leave` come in pairs, for refused connections too.
- The tick runs only while there are connections; it calls each once a second, so no connection owns a timer.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any, Protocol

from mailpod import metrics
from mailpod.clock import Clock
from mailpod.net.peer import network_of


class Connection(Protocol):
    """What Connections needs of a connection."""

    def on_drain(self) -> None: ...
    def on_tick(self, now: float, slack: float) -> None: ...
    def abort(self) -> None: ...


class Connections:
    """The open connections of a pod, with limits by number and by client address (an IPv6 client is its /64)."""

    def __init__(self, clock: Clock, *, total: int, per_address: int, tick: float = 1.0) -> None:
        self.now = clock.elapsed()
        """Seconds, as of the last tick: cheap enough to stamp every read with."""
        self._clock = clock
        self._total = total
        self._per_address = per_address
        self._tick = tick
        self._open: set[Connection] = set()
        self._addresses: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ticking = False
        self._draining = False
        self._changed: asyncio.Event | None = None

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection, protocol: str, host: str) -> str | None:
        """Count a new connection. A text says why it must be refused; call `leave` when it is gone either way."""
        network = network_of(host)
        self._open.add(connection)
        self._addresses[network] += 1
        metrics.CONNECTIONS.labels(protocol).inc()
        self._start_ticking()
        refused = self._refusal(network)
        metrics.CONNECTIONS_TOTAL.labels(protocol, "refused" if refused else "accepted").inc()
        return refused

    def leave(self, connection: Connection, protocol: str, host: str) -> None:
        """Undo `admit`."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        metrics.CONNECTIONS.labels(protocol).dec()
        network = network_of(host)
        self._addresses[network] -= 1
        if not self._addresses[network]:
            del self._addresses[network]
        self._note_change()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that the loop would otherwise only weakly hold."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._note_change()

    def _note_change(self) -> None:
        if self._changed is not None:
            self._changed.set()

    def drain(self) -> None:
        """Ask every connection to end; new ones are refused from now on."""
        self._draining = True
        for connection in list(self._open):
            connection.on_drain()

    async def finished(self) -> None:
        """Wait until all connections are gone, and the commands that outlived them are done."""
        while self._open or self._tasks:
            self._changed = asyncio.Event()
            await self._changed.wait()

    def abort(self) -> None:
        """Cut what is left."""
        for connection in list(self._open):
            connection.abort()

    def _refusal(self, network: str) -> str | None:
        if self._draining:
            return "draining"
        if len(self._open) > self._total:
            return "too many connections"
        if self._addresses[network] > self._per_address:
            return "too many connections from this address"
        return None

    def _start_ticking(self) -> None:
        if not self._ticking:
            self._ticking = True
            self.now = self._clock.elapsed()
            asyncio.get_running_loop().call_later(self._tick, self._on_tick)

    def _on_tick(self) -> None:
        self.now = self._clock.elapsed()
        for connection in list(self._open):
            connection.on_tick(self.now, self._tick)
        self._ticking = False
        if self._open:
            self._start_ticking()
