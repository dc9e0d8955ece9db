"""Events: what happened to an object, for `kubectl describe`. On transitions only (OPERATOR.md rule 10).

They are told in the background, tried a few times, and the same words about the same object are told once in a while:
an Event that is lost loses nothing, and none may hold up or flood anything.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any, Final, Literal, Protocol, TypeAlias

from mailoperator.kube import ApiError
from mailpod.clock import Clock
from mailpod.logs import event

Raw: TypeAlias = dict[str, Any]
_QUIET_SECONDS: Final = 600.0
_REMEMBERED: Final = 4096
_WAITING: Final = 1024
_ATTEMPTS: Final = 4


class EventApi(Protocol):
    """What of Kube is needed."""

    async def event(self, regarding: Raw, *, type: Literal["Normal", "Warning"], reason: str, note: str) -> None: ...


class Events:
    """Told events wait in a bounded queue until `run` has sent them."""

    def __init__(self, api: EventApi, clock: Clock) -> None:
        self._api, self._clock = api, clock
        self._told: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._queue: asyncio.Queue[tuple[Raw, Literal["Normal", "Warning"], str, str]] = asyncio.Queue(_WAITING)

    def tell(self, regarding: Raw, type: Literal["Normal", "Warning"], reason: str, note: str) -> None:
        """Say it soon; never blocks. No credential may be in `note`."""
        what = (regarding["metadata"].get("uid", ""), reason, note)
        now = self._clock.elapsed()
        if now - self._told.get(what, float("-inf")) < _QUIET_SECONDS:
            return
        self._told[what] = now
        self._told.move_to_end(what)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        named = {name: regarding["metadata"].get(name, "") for name in ("namespace", "name", "uid")}
        slim = {"apiVersion": regarding["apiVersion"], "kind": regarding["kind"], "metadata": named}
        if not self._queue.full():
            self._queue.put_nowait((slim, type, reason, note))

    async def run(self) -> None:
        while True:
            regarding, type, reason, note = await self._queue.get()
            await self._send(regarding, type, reason, note)
            self._queue.task_done()

    async def told(self) -> None:
        """Wait until all are sent, or given up."""
        await self._queue.join()

    async def _send(self, regarding: Raw, type: Literal["Normal", "Warning"], reason: str, note: str) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                await self._api.event(regarding, type=type, reason=reason, note=note)
                return
            except ApiError as error:
                if error.status not in (0, 429) and error.status < 500:  # a namespace that is going away, or RBAC
                    event("event.refused", level="warning", reason=reason, error=str(error))
                    return
                await self._clock.sleep(2**attempt)
        event("event.lost", level="warning", reason=reason)
