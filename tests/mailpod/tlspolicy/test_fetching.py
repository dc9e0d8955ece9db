"""The HTTPS request for a policy, with a real server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.harness.pki import Pair, authority, issue
from tests.harness.zone import Zone

from mailpod.tlspolicy.failure import CannotFetch
from mailpod.tlspolicy.fetching import Fetcher
from mailpod.tlspolicy.roots import Roots
from mailpod.tlspolicy.settings import TlsPolicySettings
from mailpod.tlspolicy.sts import StsPolicy

ROOT = authority()
GOOD = issue(ROOT, "mta-sts.example")
TEXT = b"version: STSv1\nmode: enforce\nmx: mx.example\nmax_age: 86400\n"


def http(body: bytes, status: str = "200 OK", kind: str = "text/plain", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Site:
    """Says `answer` to whoever asks, and keeps what was asked."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.answer)
            await writer.drain()
            await reader.read()
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def at(site: Site, tmp_path: Path, pair: Pair = GOOD, **settings: float) -> AsyncIterator[Fetcher]:
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0, ssl=pair.server(tmp_path))
    port = server.sockets[0].getsockname()[1]
    roots = Roots(ROOT.write(tmp_path, "root")[0])
    limits = TlsPolicySettings.model_validate(settings)
    yield Fetcher(limits, Zone("mta-sts.example A 127.0.0.1").resolver(), roots, port=port)
    server.close()


async def refused(site: Site, tmp_path: Path, pair: Pair = GOOD, **settings: float) -> str:
    async with at(site, tmp_path, pair, **settings) as fetcher:
        with pytest.raises(CannotFetch) as told:
            await fetcher.policy("example")
    return told.value.failure.result


async def test_a_policy(tmp_path: Path) -> None:
    site = Site(http(TEXT, kind="text/plain; charset=utf-8"))
    async with at(site, tmp_path) as fetcher:
        assert await fetcher.policy("example") == StsPolicy("enforce", 86400, ("mx.example",))
    assert site.asked[0].startswith(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\n")
    assert b"\r\nHost: mta-sts.example" in site.asked[0]


@pytest.mark.parametrize(
    "pair", [issue(None, "mta-sts.example"), issue(ROOT, "example"), issue(ROOT, "mta-sts.example", days=-1)]
)
async def test_the_certificate_must_be_good(tmp_path: Path, pair: Pair) -> None:
    assert await refused(Site(http(TEXT)), tmp_path, pair) == "sts-webpki-invalid"


async def test_no_redirect_is_followed(tmp_path: Path) -> None:
    """RFC 8461 §3.3."""
    site = Site(http(TEXT, "301 Moved", more="Location: /.well-known/mta-sts.txt\r\n"))
    assert await refused(site, tmp_path) == "sts-policy-fetch-error"
    assert len(site.asked) == 1


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (http(b"", "404 Not Found"), "sts-policy-fetch-error"),
        (http(TEXT, kind="text/html"), "sts-policy-invalid"),
        (http(b"mode: enforce\n"), "sts-policy-invalid"),
        (http(TEXT + b"x" * 70_000), "sts-policy-invalid"),
        (b"nonsense\r\n\r\n", "sts-policy-fetch-error"),
    ],
)
async def test_another_answer_is_no_policy(tmp_path: Path, answer: bytes, result: str) -> None:
    assert await refused(Site(answer), tmp_path) == result


async def test_who_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    assert await refused(Site(b""), tmp_path, fetch_seconds=0.2) == "sts-policy-fetch-error"


async def test_nobody_there(tmp_path: Path) -> None:
    fetcher = Fetcher(TlsPolicySettings(), Zone().resolver(), Roots(ROOT.write(tmp_path)[0]))
    with pytest.raises(CannotFetch):
        await fetcher.policy("example")
