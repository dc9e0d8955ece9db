"""Whether the settings that a pod reads are those that it was made for.

- A kubelet that was cut off from the API server may mount an older ConfigMap than the pod's template goes with, and a
  pod reads its settings once: it would keep the old ones for good. So the template says what they hash to.
- Other settings are used all the same after a while. A pod of the template before, started again amid an update, has
  newer ones, and those that go with it never come.
- Where they come later, the pod ends in order, to be started again with them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mailpod.clock import Clock
from mailpod.config import EXPECTED, digest
from mailpod.logs import event

WAIT_SECONDS: Final = 20.0  # of the 60 that the startup probe gives
_POLL_SECONDS: Final = 1.0
_LATER_SECONDS: Final = 5.0


class Expected:
    """The settings file, and the hash that is expected of it; "" where nobody said."""

    def __init__(self, path: Path, wanted: str | None = None) -> None:
        """By default what the environment says."""
        self._path = path
        self._wanted = os.environ.get(EXPECTED, "") if wanted is None else wanted

    def met(self) -> bool:
        """Whether the file is as expected just now; one that cannot be read is `load`'s to complain of."""
        try:
            return not self._wanted or digest(self._path.read_bytes()) == self._wanted
        except OSError:
            return True

    async def wait(self, clock: Clock) -> bool:
        """For the file to become as expected, at most WAIT_SECONDS; whether it is."""
        until = clock.elapsed() + WAIT_SECONDS
        while not (met := self.met()) and clock.elapsed() < until:
            await clock.sleep(_POLL_SECONDS)
        if not met:
            event("config.unexpected", level="warning", file=str(self._path), expected=self._wanted)
        return met

    async def end_when_met(self, clock: Clock, end: Callable[[], None]) -> None:
        """Of a pod that began with other settings: `end` it once the right ones are there."""
        await clock.sleep(_LATER_SECONDS)  # and it has begun, and takes a signal
        while not self.met():
            await clock.sleep(_LATER_SECONDS)
        event("config.arrived", level="warning", file=str(self._path))
        end()
