"""A blocking connection for dialogues byte by byte: what libraries hide or refuse, these tests must see.

Every read has a time-out; end of stream is an EOFError that shows what had come.
"""

from __future__ import annotations

import socket
import ssl
from types import TracebackType
from typing import Self


class Stream:
    """One connection. `read_line` gives a line with its CRLF; nothing is decoded."""

    def __init__(self, host: str, port: int, *, timeout: float = 30.0, source: str | None = None) -> None:
        if source is None and host.startswith("127.") and host != "127.0.0.1":
            source = host  # from where it listens: a loopback server takes passwords in the clear from itself alone
        origin = (source, 0) if source else None
        self.sock: socket.socket = socket.create_connection((host, port), timeout, source_address=origin)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()

    def start_tls(self, context: ssl.SSLContext, hostname: str) -> None:
        assert not self.buffer, f"bytes before TLS: {bytes(self.buffer)!r}"
        self.sock = context.wrap_socket(self.sock, server_hostname=hostname)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def fill(self) -> None:
        data = self.sock.recv(1 << 18)
        if not data:
            raise EOFError(f"connection closed after {bytes(self.buffer)[:200]!r}")
        self.buffer += data

    def read_line(self) -> bytes:
        searched = 0
        while (at := self.buffer.find(b"\n", searched)) < 0:
            searched = len(self.buffer)
            self.fill()
        return self._take(at + 1)

    def read_exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            self.fill()
        return self._take(size)

    def read_to_end(self) -> bytes:
        """All that comes until the server closes."""
        while True:
            try:
                self.fill()
            except (EOFError, ConnectionError):
                return self._take(len(self.buffer))

    def _take(self, size: int) -> bytes:
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
