"""Thousands of idling TLS sessions on one pod: their memory, and when they are told. `python -m benchmarks.many`.

Folder store, fsync on. Told is counted from SMTP's 250: below 0 the session knew before the sender did. The sessions
are spread over the accounts: 5,000 over 5 are 1,000 that watch each mailbox. `--plain`: as many without TLS, from one
address, so 2,000 at most.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.harness import manifest, processes
from tests.harness.idlers import Idler, deliver
from tests.harness.server import Mailpod
from tests.harness.target import Account

AT_ONCE = 16  # log-ins under way
AN_ADDRESS = 1000  # sessions from one client address: a pod takes no more than 2,000
DELIVERIES = 20


async def measure(server: Mailpod, accounts: Sequence[Account], count: int, *, plain: bool) -> None:
    target, tls = server.target(), None if plain else server.target().tls()
    assert server.process is not None
    pid = server.process.pid
    # what the pod holds once, for the accounts and for checking passwords, is not a session's
    first = [Idler() for _ in range(AT_ONCE)]
    await asyncio.gather(*(each.start(target, accounts[at % len(accounts)], tls) for at, each in enumerate(first)))
    memory, cpu, began = processes.pss_bytes(pid), processes.cpu_seconds(pid), time.monotonic()
    idlers = [Idler() for _ in range(count)]
    gate = asyncio.Semaphore(AT_ONCE)

    async def start(number: int) -> None:
        async with gate:
            account = accounts[number % len(accounts)]
            # without TLS a password is taken from the server's own address only
            source = None if plain else f"127.0.0.{1 + number // AN_ADDRESS}"
            await idlers[number].start(target, account, tls, source)

    await asyncio.gather(*map(start, range(count)))
    took, used = time.monotonic() - began, processes.cpu_seconds(pid) - cpu
    print(f"{count:,} sessions of {len(accounts)} accounts in {took:.1f} s; CPU {1000 * used / count:.2f} ms each")
    await asyncio.sleep(3)
    print(f"memory of a session, PSS: {(processes.pss_bytes(pid) - memory) / count / 1024:.1f} KiB")
    cpu = processes.cpu_seconds(pid)
    await asyncio.sleep(10)
    print(f"CPU while all idle: {10 * (processes.cpu_seconds(pid) - cpu):.1f} % of a core")
    told: list[float] = []
    for number in range(DELIVERIES):
        turn, at = divmod(number, len(accounts))
        theirs = idlers[at :: len(accounts)]
        accepted = await asyncio.to_thread(deliver, target, accounts[at])
        await asyncio.gather(*(idler.knows(turn + 1) for idler in theirs))
        told += [1000 * (idler.told[turn + 1] - accepted) for idler in theirs]
    told.sort()
    row = ", ".join(f"{name} {told[int((len(told) - 1) * part)]:.1f}" for name, part in (("p50", 0.5), ("p99", 0.99)))
    print(f"told of a delivery, ms after the 250, {len(theirs)} sessions an account: {row}, max {told[-1]:.1f}")
    for idler in (*first, *idlers):
        await idler.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=5000)
    parser.add_argument("--accounts", type=int, default=5)
    parser.add_argument("--plain", action="store_true")
    options = parser.parse_args()
    processes.allow_files(2 * options.sessions)
    accounts = manifest.accounts(options.accounts)
    with tempfile.TemporaryDirectory() as folder:
        server = Mailpod(Path(folder), accounts)
        try:
            server.start()
            asyncio.run(measure(server, accounts, options.sessions, plain=options.plain))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
