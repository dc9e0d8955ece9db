"""Mail pods as child processes: started, started again when they die, and told to drain at the end.

Children are in sessions of their own, so a terminal's Ctrl-C reaches only the parent, which then sends each SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

_FIRST_WAIT: Final = 0.5  # seconds before a pod that died is started again; doubles
_LONGEST_WAIT: Final = 5.0  # one machine, somebody watching: a pod in a loop does no harm, one that is away does
_HEALTHY_AFTER: Final = 60.0  # alive for so long, a pod's next death counts as its first
_CONFIGURATION: Final = 2  # exit code of `mailpod serve` for what its user must mend


class PodFailed(Exception):
    """A pod refused its configuration before any was ready; it has said why on standard error."""


class Pods:
    """The pods of one run. `configs` are their settings' files; `say` is told what happens, in a line."""

    def __init__(self, configs: Sequence[Path], say: Callable[[str], None]) -> None:
        self._configs = configs
        self._say = say
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._settled = False
        self._lifeline, self._held = os.pipe()

    @property
    def pids(self) -> dict[int, int]:
        """Pids of the pods that run now, by their number."""
        return {number: process.pid for number, process in sorted(self._running.items())}

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._keep(number)) for number in range(len(self._configs))]

    def settle(self) -> None:
        """Every pod was ready once: from now on, one that fails is started again whatever its reason."""
        self._settled = True

    def failed(self) -> bool:
        """Whether a pod has given up. Only before `settle`."""
        return any(task.done() and not task.cancelled() and task.exception() for task in self._tasks)

    async def stop(self, seconds: float, hurry: asyncio.Event) -> None:
        """SIGTERM, and SIGKILL for what is left after `seconds`, or at once when `hurry` is set."""
        self._stopping = True
        for number, task in enumerate(self._tasks):
            if number not in self._running:  # it waits to start again
                task.cancel()
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        ended = asyncio.gather(*self._tasks, return_exceptions=True)
        rushed = asyncio.ensure_future(hurry.wait())
        ends: list[asyncio.Future[Any]] = [ended, rushed]
        await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        rushed.cancel()
        for number, process in list(self._running.items()):
            self._say(f"pod {number} (pid {process.pid}) did not stop in time and is killed")
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await ended
        os.close(self._held)
        os.close(self._lifeline)

    async def _keep(self, number: int) -> None:
        wait = _FIRST_WAIT
        while not self._stopping:
            began = time.monotonic()
            code = await self._once(number)
            if self._stopping:
                return
            if code == _CONFIGURATION and not self._settled:
                raise PodFailed(f"pod {number}")
            if time.monotonic() - began > _HEALTHY_AFTER:
                wait = _FIRST_WAIT
            self._say(f"pod {number} ended with {code}; it starts again in {wait:g} s")
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    async def _once(self, number: int) -> int:
        """Run a pod to its end; its exit code, negative for a signal."""
        program = [sys.executable, "-m", "mailoperator.child", str(self._lifeline)]
        process = await asyncio.create_subprocess_exec(
            *program,
            *("serve", "--config", str(self._configs[number])),
            stdin=asyncio.subprocess.DEVNULL,
            pass_fds=[self._lifeline],
            start_new_session=True,
        )
        self._running[number] = process
        try:
            return await process.wait()
        finally:
            self._running.pop(number, None)
