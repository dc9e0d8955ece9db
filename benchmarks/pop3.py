"""Downloading a mailbox of 10,000 by POP3, pipelined (RFC 2449 §6.6). `python -m benchmarks.pop3`."""

from __future__ import annotations

import hashlib
import time

from tests.harness.target import Account, Target

from benchmarks.common import Cpu, Options, Table, main
from benchmarks.fetch import MESSAGES, Filled
from benchmarks.raw import Raw, Wrong
from benchmarks.systems import System

WINDOW = 50
"""Commands sent ahead of their answers."""


def opened(target: Target, account: Account) -> Raw:
    raw = Raw(target.port("pop3"))
    for command in (b"", f"USER {account.address}\r\n".encode(), f"PASS {account.password}\r\n".encode()):
        raw.sock.sendall(command)
        if not (answer := raw.line()).startswith(b"+OK"):
            raise Wrong(f"{command!r}: {answer!r}")
    return raw


def retrieve(raw: Raw, count: int) -> bytes:
    """Every message, WINDOW commands at a time; all that came. No message of the mix has a line with a dot alone."""
    end = 0
    for start in range(1, count + 1, WINDOW):
        numbers = range(start, min(start + WINDOW, count + 1))
        raw.sock.sendall(b"".join(b"RETR %d\r\n" % number for number in numbers))
        seen = 0
        while seen < len(numbers):
            searched = max(0, end - 4)
            end = raw.read(end)
            seen += raw.buffer.count(b"\r\n.\r\n", searched, end)
    return bytes(raw.buffer[:end])


def check(data: bytes, filled: Filled) -> None:
    at = 0
    for digest in filled.digests:
        if not data.startswith(b"+OK", at):
            raise Wrong(f"{data[at : at + 100]!r}")
        start = data.index(b"\r\n", at) + 2
        end = data.index(b"\r\n.\r\n", start) + 2
        if hashlib.sha256(data[start:end].replace(b"\r\n..", b"\r\n.")).digest() != digest:
            raise Wrong("a message came back changed")
        at = end + 3
    if at != len(data):
        raise Wrong("more came than was asked for")


def pop3(system: System, options: Options, table: Table) -> None:
    filled = Filled.of(system, options.scaled(MESSAGES))
    for when in ("after a restart", "again"):
        if when != "again":
            system.restart()
        raw = opened(system.target(), filled.account)
        cpu = Cpu(system)
        started = time.perf_counter()
        data = retrieve(raw, filled.count)
        took = time.perf_counter() - started
        sample = cpu.sample(filled.count / took, filled.count)
        check(data, filled)
        table.add(f"POP3 RETR of {filled.count:,}, {when}, messages per s", system, sample)
        raw.sock.sendall(b"QUIT\r\n")
        raw.line()
        raw.close()


if __name__ == "__main__":
    main(pop3)
