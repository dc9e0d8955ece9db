"""A proxy before an S3 server that cuts connections after the request was sent, so that nobody knows its fate."""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit

_PIECE = 1 << 16


class CuttingProxy:
    """Passes bytes on unchanged, in a thread of its own. With `chance`, an answer is not passed on."""

    def __init__(self, upstream: str, seed: int) -> None:
        there = urlsplit(upstream)
        assert there.hostname is not None
        self._upstream = there.hostname, there.port
        self.chance = 0.0
        self._rng = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.cuts = 0
        self.endpoint = ""

    def __enter__(self) -> CuttingProxy:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            answers, requests = await asyncio.open_connection(*self._upstream)
            try:
                ways = self._pass(reader, requests), self._pass(answers, writer, answers=True)
                tasks = [asyncio.ensure_future(way) for way in ways]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    task.cancel()
            finally:
                requests.close()
        writer.close()

    async def _pass(self, source: asyncio.StreamReader, to: asyncio.StreamWriter, *, answers: bool = False) -> None:
        with suppress(OSError):
            while data := await source.read(_PIECE):
                if answers and self._rng.random() < self.chance:
                    self.cuts += 1
                    return
                to.write(data)
                await to.drain()
