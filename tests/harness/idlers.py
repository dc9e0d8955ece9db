"""Many IMAP sessions that idle on one mailbox, and how long after a delivery each of them is told."""

from __future__ import annotations

import asyncio
import itertools
import re
import ssl
import time
from collections.abc import Sequence
from pathlib import Path

from tests.harness.clients import letter
from tests.harness.server import Mailpod
from tests.harness.smtp import Smtp
from tests.harness.target import Account, Target

_EXISTS = re.compile(rb"\* (\d+) EXISTS\r\n")


class Idler:
    """One session in IDLE. `told` is when each EXISTS came (time.monotonic), by its number."""

    def __init__(self) -> None:
        self.told: dict[int, float] = {}
        self.more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(
        self, target: Target, account: Account, tls: ssl.SSLContext | None = None, source: str | None = None
    ) -> None:
        """Log in and idle, by IMAPS where there is `tls`; `source` is the client's address."""
        self._reader, self._writer = await asyncio.open_connection(
            target.host,
            target.port("imaps" if tls else "imap"),
            ssl=tls,
            server_hostname=target.hostname if tls else None,
            local_addr=(source, 0) if source else None,
        )
        await self._reader.readline()
        for tag, command in enumerate((f'LOGIN "{account.address}" "{account.password}"', "SELECT INBOX")):
            self._writer.write(f"t{tag} {command}\r\n".encode())
            while not (line := await self._reader.readline()).startswith(f"t{tag} ".encode()):
                assert line, "closed"
            assert line.split()[1] == b"OK", line
        self._writer.write(b"idle IDLE\r\n")
        while not (await self._reader.readline()).startswith(b"+"):
            pass
        self._task = asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        while line := await self._reader.readline():
            if found := _EXISTS.fullmatch(line):
                self.told[int(found[1])] = time.monotonic()
                self.more.set()

    async def knows(self, count: int) -> None:
        """Wait until it was told of `count` messages or more."""
        while not self.told or max(self.told) < count:
            self.more.clear()
            await self.more.wait()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._writer.close()


async def delays(
    pods: Sequence[Target], account: Account, *, sessions: int, deliveries: int, patience: float, there: int = 0
) -> list[float]:
    """Seconds from the 250 of each delivery, to one pod after the other, until each session was told of it, ascending.

    `there` messages are in the mailbox before. Raises TimeoutError when one was not told within `patience` seconds.
    """
    idlers = [Idler() for _ in range(sessions)]
    found: list[float] = []
    try:
        for idler, target in zip(idlers, itertools.cycle(pods), strict=False):
            await idler.start(target, account)
        for number, target in zip(range(there + 1, there + deliveries + 1), itertools.cycle(pods), strict=False):
            accepted = await asyncio.to_thread(deliver, target, account)
            async with asyncio.timeout(patience):
                await asyncio.gather(*(idler.knows(number) for idler in idlers))
            found += [max(0.0, idler.told[max(idler.told)] - accepted) for idler in idlers]
    finally:
        for idler in idlers:
            await idler.stop()
    return sorted(found)


def deliver(target: Target, account: Account) -> float:
    """When the 250 of a delivery came."""
    _, message = letter()
    with Smtp(target) as smtp:
        assert smtp.deliver("alice@elsewhere.test", [account.address], message).code == 250
        return time.monotonic()


def run(
    home: Path, account: Account, *, hints: bool, sessions: int = 50, deliveries: int, pods: int = 3
) -> list[float]:
    """`delays` on a Mailpod of its own with several pods; without hints they look every 5 s."""
    server = Mailpod(home, [account], pods=pods, hints=hints)
    try:
        server.start()
        targets = [server.pod_target(pod) for pod in range(pods)]
        work = delays(targets, account, sessions=sessions, deliveries=deliveries, patience=30)
        return asyncio.run(work)
    finally:
        server.stop()
