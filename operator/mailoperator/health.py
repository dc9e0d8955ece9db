"""Whether to restart the operator: only where it is at fault (OPERATOR.md rule 14).

It renews its Lease and sees that come back by kopf's own watch. Where the watch is long silent and yet a plain GET of
the API works, the watches have stalled. Where the GET fails too, a restart would mend nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from mailoperator.metrics import REGISTRY
from mailpod.clock import Clock

_STALE_SECONDS: Final = 180.0


class Heartbeat:
    """`expected` is False where the Lease is not in a watched namespace: then nothing is known, and all is well."""

    def __init__(self, clock: Clock, *, expected: bool, ping: Callable[[], Awaitable[object]]) -> None:
        self._clock, self._expected, self._ping = clock, expected, ping
        self._last = clock.elapsed()

    def beat(self) -> None:
        self._last = self._clock.elapsed()

    async def alive(self) -> bool:
        if not self._expected or self._clock.elapsed() - self._last < _STALE_SECONDS:
            return True
        try:
            await self._ping()
        except Exception:
            return True
        return False


async def serve(
    host: str, port: int, *, alive: Callable[[], Awaitable[bool]], ready: Callable[[], bool]
) -> web.AppRunner:
    """/livez, /readyz and /metrics; `cleanup()` of what is returned ends it."""

    async def livez(request: web.Request) -> web.Response:
        return web.Response(text="ok\n") if await alive() else web.Response(status=503, text="watches have stalled\n")

    async def readyz(request: web.Request) -> web.Response:
        return web.Response(text="ok\n") if ready() else web.Response(status=503, text="not yet\n")

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
