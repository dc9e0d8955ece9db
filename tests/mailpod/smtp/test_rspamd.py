"""Debian's rspamd is asked: its test patterns are refused, put into Junk, and let pass."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.harness import rspamd
from tests.mailpod.smtp.server import serving
from tests.mailpod.smtp.test_senders import folder

ALICE = "alice@example.com"
PATTERN = b"JS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with rspamd.running() as found:
        yield found.url


@pytest.mark.parametrize(
    ("body", "reply", "inbox", "junk"),
    [
        (b"X" + PATTERN, "554 5.7.1 Gtube pattern", 0, 0),
        (b"Y" + PATTERN, "250 2.0.0 OK", 0, 1),
        (b"A letter.", "250 2.0.0 OK", 1, 0),
    ],
)
async def test_rspamd(url: str, body: bytes, reply: str, inbox: int, junk: int) -> None:
    async with serving(rspamd={"url": url, "on_failure": "defer"}) as server, server.client() as client:
        await client.hello()
        message = b"From: a@b.example\r\nSubject: x\r\n\r\n" + body + b"\r\n"
        assert (await client.message(message, ALICE)).startswith(reply)
        assert [await folder(server, ALICE, name) for name in ("INBOX", "Junk")] == [inbox, junk]
        await server.services.rspamd.close()
