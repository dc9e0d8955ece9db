"""A client that is not the bottleneck: bytes go from the socket into one buffer, and are looked at afterwards."""

from __future__ import annotations

import random
import socket
import time

from tests.harness.target import Account, Target

READ = 4 << 20


class Wrong(Exception):
    """A server answered wrongly, or not at all: its figure means nothing."""


class Raw:
    """One connection. `reserve` what an answer may need, so that no buffer grows while the clock runs."""

    buffer = bytearray(READ)  # one for all: its pages are touched once, not in every measurement

    def __init__(self, port: int, host: str = "127.0.0.1", *, own_buffer: int = 0) -> None:
        """With `own_buffer`, its size: where several threads read at once."""
        if own_buffer:
            self.buffer = bytearray(own_buffer)
        self.sock = socket.create_connection((host, port), 120)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = 0

    @classmethod
    def reserve(cls, size: int) -> None:
        if len(cls.buffer) < size + READ:
            cls.buffer = bytearray(b"\xff") * (size + READ)

    def read(self, at: int) -> int:
        """Read into the buffer at `at`; where the data then ends."""
        if len(self.buffer) == at:
            raise Wrong(f"an answer of more than the {at} bytes that were reserved")
        with memoryview(self.buffer) as view:
            size = self.sock.recv_into(view[at : at + READ])
        if not size:
            raise Wrong("the server closed the connection")
        return at + size

    def line(self) -> bytes:
        end = 0
        while not self.buffer.endswith(b"\r\n", 0, end):
            end = self.read(end)
        return bytes(self.buffer[:end])

    def timed(self, command: bytes) -> tuple[float, bytes]:
        """Seconds from the first byte sent to the tagged OK, and all that came."""
        self.number += 1
        tag = b"Q%x%d" % (random.getrandbits(64), self.number)
        started = time.perf_counter()
        self.sock.sendall(tag + b" " + command + b"\r\n")
        end, last = 0, -1
        while last < 0:
            end = self.read(end)
            if self.buffer.endswith(b"\r\n", 0, end):
                last = self.buffer.rfind(tag + b" ", max(0, end - 1000), end)
        took = time.perf_counter() - started
        if not self.buffer.startswith(tag + b" OK", last):
            raise Wrong(f"{command[:80]!r}: {bytes(self.buffer[last : last + 200])!r}")
        return took, bytes(self.buffer[:end])

    def close(self) -> None:
        self.sock.close()


def login(target: Target, account: Account, mailbox: str = "INBOX", *, own_buffer: int = 0) -> Raw:
    """A logged-in IMAP connection with a mailbox selected."""
    raw = Raw(target.port("imap"), own_buffer=own_buffer)
    raw.line()
    raw.timed(f'LOGIN "{account.address}" "{account.password}"'.encode())
    if mailbox:
        raw.timed(f'SELECT "{mailbox}"'.encode())
    return raw
