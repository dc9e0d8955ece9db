"""Delivery by SMTP: messages a second until IMAP counts them. `python -m benchmarks.deliver`."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.harness.need import find
from tests.harness.target import Account, Target

from benchmarks.common import Cpu, Options, Table, main
from benchmarks.raw import Wrong, login
from benchmarks.systems import System

CONNECTIONS = 20


@dataclass(frozen=True)
class Load:
    row: str
    messages: int
    size: int
    mailboxes: int
    reuse: bool


LOADS = [
    Load("deliver 4 KB, 20 connections to 20 mailboxes, per s", 4000, 4096, 20, True),
    Load("deliver 4 KB, one connection a message, per s", 2000, 4096, 20, False),
    Load("deliver 1 MB, 20 connections to 20 mailboxes, per s", 200, 1 << 20, 20, True),
    Load("deliver 4 KB to one hot mailbox, a message a transaction, per s", 3000, 4096, 1, True),
]


def sources(
    target: Target, load: Load, count: int, accounts: Sequence[Account], letter: Path | None = None
) -> list[subprocess.Popen[bytes]]:
    """smtp-source for each mailbox, CONNECTIONS connections over all. Without a letter it makes up the message."""
    program = find("smtp-source")
    if program is None:
        raise SystemExit("smtp-source is not on this machine: apt install postfix")
    sessions = CONNECTIONS // len(accounts)
    return [
        subprocess.Popen(
            [
                *[program, "-s", str(sessions), "-m", str(count // len(accounts))],
                *(["-F", str(letter)] if letter else ["-l", str(load.size)]),
                *(["-d"] if load.reuse else []),
                *["-f", "bench@elsewhere.test", "-t", account.address, f"127.0.0.1:{target.port('smtp')}"],
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for account in accounts
    ]


class Counter:
    """Counts what is visible in several mailboxes, over connections that stay open."""

    def __init__(self, target: Target, accounts: Sequence[Account]) -> None:
        self.sessions = [login(target, account, "") for account in accounts]
        self.before = self.counts()

    def counts(self) -> list[int]:
        answers = [session.timed(b"STATUS INBOX (MESSAGES)")[1] for session in self.sessions]
        return [int(answer.partition(b"(MESSAGES ")[2].partition(b")")[0]) for answer in answers]

    def arrived(self) -> int:
        return sum(self.counts()) - sum(self.before)

    def wait(self, count: int, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while (arrived := self.arrived()) != count:
            if arrived > count or time.monotonic() > deadline:
                raise Wrong(f"{arrived} messages are there, {count} were sent")
            time.sleep(0.02)

    def close(self) -> None:
        for session in self.sessions:
            session.close()


def deliver(system: System, options: Options, table: Table, letters: Mapping[Load, Path] | None = None) -> None:
    for load in LOADS:
        accounts = system.target().accounts[: load.mailboxes]
        count = max(options.scaled(load.messages), len(accounts)) // len(accounts) * len(accounts)
        counter = Counter(system.target(), accounts)
        cpu = Cpu(system)
        started = time.perf_counter()
        for source in sources(system.target(), load, count, accounts, letters[load] if letters else None):
            _, said = source.communicate(timeout=600)
            if source.returncode:
                raise Wrong(f"smtp-source: {said.decode()}")
        counter.wait(count)
        took = time.perf_counter() - started
        table.add(load.row, system, cpu.sample(count / took, count))
        counter.close()


if __name__ == "__main__":
    main(deliver)
