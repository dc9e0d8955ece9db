"""CPU of SMTP proper, a message: `python -m benchmarks.smtp_cpu [--messages N] [--with-store]`.

The server is a process of its own with a directory and a store that answer at once from memory, so what is measured is
reading, parsing, answering and Received; `--with-store` is the real store over a bucket in memory (no fsync). Beside it
aiosmtpd as it comes, with a handler that does nothing. Aims (TARGETS.md): 0.25 ms for 4 KB, 3.1 ms for 1 MB.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import resource
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import uvloop
from aiosmtpd.smtp import SMTP
from tests.mailpod.smtp.server import Bucket, make_services

from mailpod import logs
from mailpod.smtp.server import make_smtp

LINE = b"The quick brown fox jumps over the lazy dog, and then it does so once more.\r\n"
HEADER = (
    b"From: a@far.example\r\nTo: b@example.com\r\nSubject: benchmark\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\n"
)


class Sink:
    """Stands for the store: takes every message at once."""

    objects = None

    async def open(self, ref: object) -> Sink:
        return self

    def release(self) -> None:
        return

    def peek(self, ref: object) -> None:
        return

    async def append(self, name: str, messages: object, *, limits: object = None) -> None:
        return


class KnownAddresses:
    """Stands for the directory once its cache is warm."""

    def __init__(self, domain: Any, mailbox: Any, ref: Any) -> None:
        self._domain, self._mailbox, self._ref = domain, mailbox, ref

    async def domain(self, name: str) -> Any:
        return self._domain

    async def resolve(self, address: str) -> list[Any]:
        return [self._mailbox]

    async def account(self, entry: object, *, fresh: bool = False) -> Any:
        return self._ref


class Accept:
    """aiosmtpd's own handler, for the comparison."""

    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:
        return "250 OK"


async def ours(with_store: bool) -> Callable[[], asyncio.BaseProtocol]:
    services = await make_services(Bucket())
    if not with_store:
        entry = await services.directory.lookup("bob@example.com")
        assert entry is not None
        domain, ref = await services.directory.domain("example.com"), await services.directory.account(entry)
        services.directory = KnownAddresses(domain, entry, ref)  # type: ignore[assignment]
        services.store = Sink()  # type: ignore[assignment]
    return lambda: make_smtp(services, role="mx", implicit_tls=False)


async def peer(_: bool) -> Callable[[], asyncio.BaseProtocol]:
    return lambda: SMTP(Accept(), enable_SMTPUTF8=True, data_size_limit=2**26)


def serve(make: Callable[[bool], Any], with_store: bool, control: Connection) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(await make(with_store), "127.0.0.1", 0)
        control.send(listener.sockets[0].getsockname()[1])
        while await loop.run_in_executor(None, control.recv) == "cpu":
            used = resource.getrusage(resource.RUSAGE_SELF)
            control.send(used.ru_utime + used.ru_stime)

    with open("/dev/null", "w") as nowhere:  # noqa: PTH123
        logs.configure(stream=nowhere)
        uvloop.run(run())


class Talk:
    """A blocking client with as little work as can be."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")
        self.expect(b"220")
        self.say(b"EHLO client.example\r\n", b"250")

    def expect(self, code: bytes) -> None:
        while True:
            line = self.file.readline()
            assert line.startswith(code), line
            if line[3:4] == b" ":
                return

    def say(self, data: bytes, code: bytes) -> None:
        self.socket.sendall(data)
        self.expect(code)

    def message(self, content: bytes) -> None:
        self.say(b"MAIL FROM:<a@far.example>\r\n", b"250")
        self.say(b"RCPT TO:<bob@example.com>\r\n", b"250")
        self.say(b"DATA\r\n", b"354")
        self.say(content, b"250")

    def quit(self) -> None:
        self.say(b"QUIT\r\n", b"221")
        self.socket.close()


def measure(name: str, make: Callable[[bool], Any], with_store: bool, messages: int) -> None:
    control, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(make, with_store, theirs), daemon=True)
    server.start()
    port = control.recv()

    def cpu() -> float:
        control.send("cpu")
        used: float = control.recv()
        return used

    small = HEADER + LINE * (4096 // len(LINE)) + b".\r\n"
    large = HEADER + LINE * (2**20 // len(LINE)) + b".\r\n"

    def reused(content: bytes, count: int) -> None:
        talk = Talk(port)
        for _ in range(count):
            talk.message(content)
        talk.quit()

    def one_each(count: int) -> None:
        for _ in range(count):
            reused(small, 1)

    jobs: list[tuple[str, Callable[[int], None], int]] = [
        ("4 KB, one connection", lambda count: reused(small, count), messages),
        ("4 KB, a connection each", one_each, messages // 2),
        ("1 MB, one connection", lambda count: reused(large, count), max(messages // 40, 10)),
    ]
    for label, job, count in jobs:
        job(count // 10 + 1)
        began = cpu()
        job(count)
        print(f"{name:12} {label:26} {(cpu() - began) / count * 1000:7.3f} ms CPU a message", flush=True)
    control.send("stop")
    server.join(5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--with-store", action="store_true")
    parser.add_argument("--alone", action="store_true", help="without aiosmtpd as it comes")
    arguments = parser.parse_args()
    measure("mailpod", ours, arguments.with_store, arguments.messages)
    if not arguments.alone:
        measure("aiosmtpd", peer, False, arguments.messages)


if __name__ == "__main__":
    main()
