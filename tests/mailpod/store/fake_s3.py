"""An S3 server that says what a test tells it, for answers that no real one can be asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from mailpod.store.s3 import S3Objects, S3Settings

DATE = "Mon, 23 Nov 2026 18:00:00 GMT"


@dataclass(frozen=True, slots=True)
class Request:
    """One request: method, path with query, headers in lower case, body."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def access_key(self) -> str:
        return self.headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]


Say: TypeAlias = Callable[[Request], "bytes | None"]
"""The answer; None: the connection is cut."""


def answer(status: str, body: bytes | str = b"", *, length: int | None = None, **headers: str) -> bytes:
    """`length`: what is announced, where that is not what is sent."""
    data = body if isinstance(body, bytes) else body.encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data) if length is None else length}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + data


def found(body: bytes | str, *, length: int | None = None) -> bytes:
    return answer("200 OK", body, length=length, ETag='"e"', Last_Modified=DATE)


def error(status: str, code: str) -> bytes:
    return answer(status, f"<Error><Code>{code}</Code><Message>m</Message></Error>")


@dataclass(slots=True)
class Fake:
    endpoint: str
    requests: list[Request] = field(default_factory=list)

    def objects(self, *, credentials_file: Path | None = None, clock: Any = None, rng: Any = None, **more: Any) -> Any:
        settings: dict[str, Any] = {"read_deadline": 2.0, "request_timeout": 5, "retry_base": 0.01}
        return S3Objects(
            S3Settings(bucket="b", endpoint=self.endpoint, credentials_file=credentials_file, **(settings | more)),
            clock=clock,
            rng=rng,
        )


@asynccontextmanager
async def fake_s3(say: Say) -> AsyncIterator[Fake]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = lines[0].split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            request = Request(method, path, headers, await reader.readexactly(int(headers.get("content-length", 0))))
            fake.requests.append(request)
            said = say(request)
            if said is not None:
                writer.write(said)
                await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    fake = Fake(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    async with listening:
        yield fake
