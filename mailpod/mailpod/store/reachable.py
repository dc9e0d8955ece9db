"""Whether the bucket answers: looked at now and then, in the background. Nothing waits for it or is decided by it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from mailpod.clock import Clock
from mailpod.store.objects import NotFound, ObjectStore

_PROBE_KEY: Final = "directory/!probe"  # is never there: the answer 404 costs the bucket least
_PROBE_SECONDS: Final = 5.0


class BucketCheck:
    """Tells `report` (up, kind of error) after each look."""

    def __init__(self, objects: ObjectStore, report: Callable[[bool, str], None], clock: Clock) -> None:
        self._objects = objects
        self._report = report
        self._clock = clock

    async def follow(self, seconds: float) -> None:
        """Look every `seconds`, for ever."""
        while True:
            await self.check()
            await self._clock.sleep(seconds)

    async def check(self) -> None:
        """One look."""
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                await self._objects.get_head(_PROBE_KEY, 1)
        except NotFound:
            self._report(True, "")
        except Exception as error:
            # Whatever a client library raises when the bucket is away, it is away.
            self._report(False, type(error).__name__)
        else:
            self._report(True, "")
