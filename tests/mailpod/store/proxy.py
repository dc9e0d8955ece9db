"""A proxy before an S3 server that breaks conditional writes, as real gateways do. It signs anew, so nothing notices.

strip   forwards every PUT without If-None-Match
look    answers a conditional PUT itself: looks first, then writes plainly; right serially, wrong in a race
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import boto3
import botocore.exceptions
from tests.fixtures_seaweed import Seaweed

Mode = Literal["strip", "look"]


@asynccontextmanager
async def breaking_proxy(server: Seaweed, mode: Mode) -> AsyncIterator[str]:
    """The proxy's URL."""
    client = boto3.client(
        "s3", endpoint_url=server.endpoint, aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key, region_name=server.region,
    )  # fmt: skip
    proxy = _Proxy(server.endpoint, client, mode)
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        await listening.wait_closed()


class _Proxy:
    def __init__(self, upstream: str, client: Any, mode: Mode) -> None:
        self._upstream = urlsplit(upstream)
        self._client = client
        self._mode = mode

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request a connection."""
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            method, path, _ = lines[0].split(" ")
            if method == "PUT" and "?" not in path:
                answer = await asyncio.to_thread(self._put, path, body, "if-none-match" in headers)
                writer.write(
                    f'HTTP/1.1 {answer}\r\nContent-Length: 0\r\nETag: "x"\r\nConnection: close\r\n\r\n'.encode()
                )
            else:
                writer.write(await self._forward(lines, body))
            await writer.drain()
        writer.close()

    def _put(self, path: str, body: bytes, conditional: bool) -> str:
        bucket, _, key = unquote(path).lstrip("/").partition("/")
        if conditional and self._mode == "look" and self._exists(bucket, key):
            return "412 Precondition Failed"
        self._client.put_object(Bucket=bucket, Key=key, Body=body)
        return "200 OK"

    def _exists(self, bucket: str, key: str) -> bool:
        try:
            self._client.head_object(Bucket=bucket, Key=key)
        except botocore.exceptions.ClientError:
            return False
        return True

    async def _forward(self, lines: list[str], body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._upstream.hostname, self._upstream.port)
        kept = [line for line in lines[1:] if line and not line.lower().startswith("connection:")]
        writer.write("\r\n".join([lines[0], *kept, "Connection: close", "", ""]).encode("latin-1") + body)
        answer = await reader.read()
        writer.close()
        return answer
