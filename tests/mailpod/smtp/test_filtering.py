"""rspamd's opinion at the MX port, of a server that answers as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from tests.mailpod.smtp.server import serving
from tests.mailpod.smtp.test_senders import folder

ALICE, BOB = "alice@example.com", "bob@example.com"
MAIL = b"Subject: x\r\n\r\nbody\r\n"


class FakeRspamd:
    """`answer` is what it says; `asked` are the requests' headers and bodies."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.asked: list[tuple[Any, bytes]] = []
        self.over = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append((request.headers.copy(), await request.read()))
        if self.answer is None:
            await self.over.wait()
        return web.Response(body=self.answer, content_type="application/json")


@asynccontextmanager
async def rspamd(answer: bytes | None) -> AsyncIterator[tuple[FakeRspamd, str]]:
    fake = FakeRspamd(answer)
    app = web.Application()
    app.router.add_post("/checkv2", fake.handle)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield fake, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        fake.over.set()
        await runner.cleanup()


def said(action: str, **more: Any) -> bytes:
    return json.dumps({"action": action, "score": 7.0, **more}).encode()


async def send(answer: bytes | None, **settings: Any) -> tuple[str, list[bytes], int, FakeRspamd]:
    """The reply, what is in INBOX, how much is in Junk."""
    async with (
        rspamd(answer) as (fake, url),
        serving(rspamd={"url": url, **settings}) as server,
        server.client() as client,
    ):
        await client.hello()
        reply = await client.message(MAIL, ALICE, BOB)
        await server.services.spool.idle()
        found = reply, await server.inbox(ALICE), await folder(server, ALICE, "Junk"), fake
        await server.services.rspamd.close()
        return found


async def test_good_mail_with_its_fields() -> None:
    reply, (stored,), junk, fake = await send(said("no action", milter={"add_headers": {"X-Spam-Score": "-1"}}))
    assert reply[:3] == "250" and junk == 0
    assert b"\r\nX-Spam-Score: -1\r\nSubject: x\r\n" in stored
    [(headers, body)] = fake.asked
    assert headers["IP"] == "127.0.0.1" and headers["From"] == "sender@far.example"
    assert headers.getall("Rcpt") == [ALICE, BOB]
    assert body.startswith(b"Received: from client.example ") and body.endswith(MAIL)


async def test_junk() -> None:
    reply, inbox, junk, _ = await send(said("add header"))
    assert (reply[:3], inbox, junk) == ("250", [], 1)


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (said("reject"), "554 5.7.1 The message looks like spam"),
        (said("reject", messages={"smtp_message": "Gtube"}), "554 5.7.1 Gtube"),
        (said("greylist"), "451 4.7.1 Try again later"),
        (said("soft reject"), "451 4.7.1 Try again later"),
    ],
)
async def test_refused(answer: bytes, reply: str) -> None:
    assert (await send(answer))[:3] == (reply, [], 0)


@pytest.mark.parametrize("answer", [None, b"nonsense", said("no action", x="y" * 5000)])
async def test_without_an_answer(answer: bytes | None) -> None:
    limits = {"timeout": 0.2, "max_answer_bytes": 4000}
    reply, inbox, junk, _ = await send(answer, **limits)
    assert (reply[:3], len(inbox), junk) == ("250", 1, 0)
    reply, inbox, junk, _ = await send(answer, on_failure="defer", **limits)
    assert reply == "451 4.3.0 The spam filter does not answer, try again later"
    assert (inbox, junk) == ([], 0)


async def test_what_is_too_large_is_not_shown() -> None:
    reply, inbox, _, fake = await send(said("reject"), max_bytes=10)
    assert (reply[:3], len(inbox), fake.asked) == ("250", 1, [])
