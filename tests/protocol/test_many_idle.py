"""A thousand TLS sessions that idle on one mailbox of one pod: what they cost, and that each is told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.harness import manifest, processes
from tests.harness.idlers import Idler, deliver
from tests.harness.server import Mailpod

SESSIONS = 1000
MEMORY = 40 * 1024
"""PSS of a session, in bytes; benchmarks/many.py measures it on a quiet machine: 28 KiB."""


async def watch(server: Mailpod) -> float:
    """Each session is told of each of three deliveries. Returns the bytes of a session."""
    target, (account,) = server.target(), server.accounts
    assert server.process is not None
    first, idlers = [Idler() for _ in range(8)], [Idler() for _ in range(SESSIONS)]
    gate = asyncio.Semaphore(8)

    async def start(idler: Idler) -> None:
        async with gate:
            await idler.start(target, account, target.tls())

    await asyncio.gather(*map(start, first))  # what the pod holds once is not a session's
    before = processes.pss_bytes(server.process.pid)
    await asyncio.gather(*map(start, idlers))
    each = (processes.pss_bytes(server.process.pid) - before) / SESSIONS
    try:
        for number in range(1, 4):
            await asyncio.to_thread(deliver, target, account)
            async with asyncio.timeout(30):
                await asyncio.gather(*(idler.knows(number) for idler in idlers))
    finally:
        for idler in (*first, *idlers):
            await idler.stop()
    return each


@pytest.mark.slow
def test_a_thousand_idle_sessions(tmp_path: Path) -> None:
    processes.allow_files(2 * SESSIONS)
    server = Mailpod(tmp_path, manifest.accounts(1))
    try:
        server.start()
        assert asyncio.run(watch(server)) < MEMORY
    finally:
        server.stop()
