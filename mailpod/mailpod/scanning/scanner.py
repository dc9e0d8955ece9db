"""The second process that finds out what the index knows of messages (`python -m mailpod.scanning`).

- It is started when somebody first has something for it, ends when nobody had for a while, and never outlives the pod.
- Nobody depends on it: what it cannot take, or takes and does not answer, is for the asker to find out.
- Messages are handed over in shared memory, never in an argument, a file or a log.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from mailpod.logs import event
from mailpod.scanning.cpus import usable_cpus
from mailpod.scanning.link import Link, Promise
from mailpod.scanning.ring import Ring

if TYPE_CHECKING:
    from mailpod.config import ScannerSettings

COMMAND: Final = (sys.executable, "-P", "-m", "mailpod.scanning")


def make_scanner(settings: ScannerSettings) -> Scanner | None:
    """None where it would only take turns with the loop, or is not wanted."""
    return Scanner(settings) if settings.enabled and usable_cpus() > 1 else None


class Scanner:
    """One per pod."""

    def __init__(self, settings: ScannerSettings, command: Sequence[str] = COMMAND) -> None:
        self.settings = settings
        self._command = command
        self._link: Link | None = None
        self._task: asyncio.Task[None] | None = None
        self._not_before = 0.0  # by the loop's clock
        self.pid: int | None = None

    def offer(self, messages: Sequence[bytes]) -> Promise | None:
        """Hand them over; None: not now, since it only starts, is busy or failed a short while ago."""
        if self._link is not None:
            return self._link.offer(messages)
        loop = asyncio.get_running_loop()
        if self._task is None and loop.time() >= self._not_before:
            self._task = loop.create_task(self._run())
        return None

    async def close(self) -> None:
        """It ends; what it was given is for the askers to find out. To be called last."""
        self._not_before = float("inf")
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        """One process, from its start to its end."""
        wrong = ""
        try:
            ring = Ring(self.settings.memory_bytes)
            try:
                wrong = await self._serve(ring)
            finally:
                ring.close()
        except OSError as error:
            wrong = error.strerror or "cannot be started"
        finally:
            self._task = None
        if wrong:
            self._not_before = asyncio.get_running_loop().time() + self.settings.retry_seconds
            event("scanner.failed", level="warning", reason=wrong, retry_seconds=self.settings.retry_seconds)

    async def _serve(self, ring: Ring) -> str:
        """What went wrong, or nothing. Raises OSError where it does not start."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *self._command, str(ring.fd), str(ring.size), stdin=theirs.fileno(), pass_fds=[ring.fd],
                    stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
                )  # fmt: skip
            self.pid = process.pid
            seconds = self.settings
            link = Link(ring, answer_seconds=seconds.answer_seconds, idle_seconds=seconds.idle_seconds)
            try:
                await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=ours)
                self._link = link
                return await link.over
            finally:
                self._link = self.pid = None
                link.close()
                with suppress(ProcessLookupError):
                    process.kill()  # it has nothing to lose
                await asyncio.shield(process.wait())
