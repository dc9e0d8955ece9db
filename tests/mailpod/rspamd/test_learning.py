"""A mail client moves a message into Junk, and Debian's rspamd has another opinion of the next one like it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from tests.harness import processes, rspamd
from tests.harness.ports import free_port
from tests.mailpod.imap import dialogue
from tests.mailpod.smtp.server import PASSWORD, Server, serving
from tests.mailpod.smtp.test_senders import folder

from mailpod.imap.server import ImapSession

ALICE = "alice@example.com"
# Its Bayes classifier in SQLite: rspamd's default is Redis
CONFIG = """
classifier "bayes" {
  tokenizer { name = "osb"; }
  backend = "sqlite3"; min_tokens = 1; min_learns = 1;
  cache { type = "sqlite3"; path = "{home}/learned.sqlite"; }
  statfile { symbol = "BAYES_HAM"; spam = false; path = "{home}/ham.sqlite"; }
  statfile { symbol = "BAYES_SPAM"; spam = true; path = "{home}/spam.sqlite"; }
}
group "statistics" { symbols = { "BAYES_SPAM" { weight = 7.0; } "BAYES_HAM" { weight = -3.0; } } }
worker "controller" { bind_socket = "127.0.0.1:{port}"; count = 1; secure_ip = ["127.0.0.1"]; }
"""
SPAM = [
    "watches",
    "casino",
    "bonus",
    "winner",
    "lottery",
    "transfer",
    "million",
    "dollars",
    "click",
    "unsubscribe",
    "offer",
    "limited",
    "free",
]
HAM = [
    "meeting",
    "agenda",
    "quarterly",
    "report",
    "project",
    "deadline",
    "invoice",
    "colleague",
    "review",
    "budget",
    "planning",
    "garden",
]


def letter(words: list[str], seed: int) -> bytes:
    rng = random.Random(seed)
    text = "\r\n".join(" ".join(rng.choices(words, k=10)) for _ in range(8))
    head = f"From: a@b.example\r\nSubject: {rng.choice(words)}\r\nMessage-ID: <{words[0]}{seed}@b.example>\r\n"
    return f"{head}\r\n{text}\r\n".encode()


@pytest.fixture
def filter_settings() -> Iterator[dict[str, str]]:
    port = free_port()
    with rspamd.running(more=CONFIG.replace("{port}", str(port))) as found:
        processes.wait_until(partial(rspamd.answers, port), 60, "rspamd's controller answers")
        yield {"url": found.url, "learn_url": f"http://127.0.0.1:{port}", "on_failure": "defer"}


@asynccontextmanager
async def mail_client(server: Server) -> AsyncIterator[dialogue.Client]:
    loop = asyncio.get_running_loop()
    imap = await loop.create_server(lambda: ImapSession(server.services), "127.0.0.1", 0)
    client = dialogue.Client(*await asyncio.open_connection(*imap.sockets[0].getsockname()))
    try:
        await client.line()
        await client.ok(b'LOGIN %b "%b"' % (ALICE.encode(), PASSWORD.encode()))
        yield client
    finally:
        client.close()
        imap.close()


async def arrive(server: Server, content: bytes) -> None:
    async with server.client() as client:
        await client.hello()
        assert (await client.message(content, ALICE))[:3] == "250"


async def folders(server: Server) -> list[int]:
    return [await folder(server, ALICE, name) for name in ("INBOX", "Junk")]


@pytest.mark.slow
async def test_what_is_moved_into_junk_changes_the_verdict_on_its_twin(filter_settings: dict[str, str]) -> None:
    async with serving(rspamd=filter_settings) as server, mail_client(server) as client:
        services = server.services
        for words, seed in ((SPAM, 1), (SPAM, 2), (HAM, 3)):  # it does not believe what it saw once
            await arrive(server, letter(words, seed))
        assert await folders(server) == [3, 0]

        await client.ok(b"SELECT INBOX")
        await client.ok(b"MOVE 1:2 Junk")
        await client.ok(b"STORE 1 +FLAGS ($NotJunk)")
        await services.teacher.idle()
        await arrive(server, letter(SPAM, 4))
        await arrive(server, letter(HAM, 5))
        assert await folders(server) == [2, 3]

        await client.ok(b"SELECT Junk")
        await client.ok(b"MOVE 1:3 INBOX")  # the user was wrong
        await services.teacher.idle()
        await arrive(server, letter(SPAM, 6))
        assert await folders(server) == [6, 0]
        await services.teacher.close()
        await services.rspamd.close()
