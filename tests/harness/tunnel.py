"""An HTTP proxy for CONNECT alone, which knows the servers of a test by name and leads nowhere else."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

_REQUEST = re.compile(rb"CONNECT ([^ :]+):([0-9]+) HTTP/1\.[01]\r\n")


class Tunnel:
    """`names` maps "host:port", as a client asks for it, to the port of this machine that it is led to."""

    def __init__(self, names: Mapping[str, int]) -> None:
        self.names = names
        self.asked: list[str] = []
        """Every "host:port" in the order of asking, those that lead nowhere too."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._lead, args=[client], daemon=True).start()

    def _lead(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                piece = client.recv(4096)
                if not piece:
                    return
                head += piece
            found = _REQUEST.match(head)
            name = f"{found[1].decode()}:{found[2].decode()}" if found else ""
            self.asked.append(name)
            port = self.names.get(name)
            if port is None:
                client.sendall(b"HTTP/1.1 502 Nobody here\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", port)) as server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=_copy, args=[server, client], daemon=True)
                back.start()
                _copy(client, server)
                back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65_536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
