"""Reports by HTTPS, with a real server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.harness.pki import authority, issue
from tests.harness.zone import Zone

from mailpod.tlspolicy.posting import post
from mailpod.tlspolicy.roots import Roots

ROOT = authority()


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        ("200 OK", ""),
        ("201 Created", ""),
        ("302 Found\r\nLocation: /elsewhere", "it answers 302"),
        ("500 No", "it answers 500"),
    ],
)
async def test_a_report_is_posted(tmp_path: Path, answer: str, failed: str) -> None:
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(6))
        writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    context = issue(ROOT, "collect.example").server(tmp_path)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    url = f"https://collect.example:{server.sockets[0].getsockname()[1]}/v1/tlsrpt"
    resolver, roots = Zone("collect.example A 127.0.0.1").resolver(), Roots(ROOT.write(tmp_path)[0])
    assert await post(url, b"packed", resolver=resolver, roots=roots, seconds=5) == failed
    server.close()
    assert got[0].startswith(b"POST /v1/tlsrpt HTTP/1.1\r\n") and got[0].endswith(b"packed")
    assert b"\r\nContent-Type: application/tlsrpt+gzip\r\n" in got[0]


async def test_nobody_there(tmp_path: Path) -> None:
    roots = Roots(ROOT.write(tmp_path)[0])
    assert await post("https://collect.example/", b"", resolver=Zone().resolver(), roots=roots, seconds=5)
