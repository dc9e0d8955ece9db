"""A proxy before the API server whose answer to a LIST of Mailboxes can be made short, without a word."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web
from tests.apiserver.harness import ApiServer

_HOP: frozenset[str] = frozenset({"host", "content-length", "transfer-encoding", "connection", "authorization"})


class ShortProxy:
    """Passes everything on as administrator, watches too. A LIST has no more than `keep` Mailboxes, if that is set."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self.keep: int | None = None
        self.cut = 0  # lists that were cut
        self.kubeconfig = folder / "proxy.kubeconfig"
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> ShortProxy:
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        named = {"name": "p", "context": {"cluster": "p", "user": "p"}}
        cluster = {"name": "p", "cluster": {"server": f"http://127.0.0.1:{port}"}}
        user = {"name": "p", "user": {"token": "none"}}
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "p"}
        self.kubeconfig.write_text(
            yaml.safe_dump(config | {"contexts": [named], "clusters": [cluster], "users": [user]})
        )
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> int:
        trust = ssl.create_default_context(cafile=str(self._server.plane.certificate))
        self._client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust, limit=0), auto_decompress=True)
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return int(self._runner.addresses[0][1])

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        headers["Authorization"] = f"Bearer {self._server.plane.token}"
        async with self._client.request(
            request.method, self._server.url + request.raw_path, headers=headers, data=await request.read() or None,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as answer:  # fmt: skip
            if "watch" in request.query and answer.status == 200:
                return await _stream(request, answer)
            body = await answer.read()
            if request.method == "GET" and request.path.endswith("/mailboxes") and answer.status == 200:
                body = self._shortened(body)
            return web.Response(status=answer.status, body=body, content_type=answer.content_type)

    def _shortened(self, body: bytes) -> bytes:
        if self.keep is None:
            return body
        found: dict[str, Any] = json.loads(body)
        if len(found["items"]) <= self.keep:
            return body
        self.cut += 1
        return json.dumps(found | {"items": found["items"][: self.keep]}).encode()


async def _stream(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    told = web.StreamResponse(headers={"Content-Type": answer.content_type})
    await told.prepare(request)
    async for piece in answer.content.iter_any():
        await told.write(piece)
    return told
