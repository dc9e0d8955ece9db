"""POP3 as bytes (RFC 1939): multi-line answers with their dots removed, lines of any length."""

from __future__ import annotations

from tests.harness.target import Account, Target
from tests.harness.wire import Stream


class Pop3(Stream):
    """A connection to a POP3 port, greeted. `service` is "pop3" or "pop3s"."""

    def __init__(
        self, target: Target, account: Account | None = None, *, service: str = "pop3", timeout: float = 60
    ) -> None:
        super().__init__(target.host, target.port(service), timeout=timeout)
        if service == "pop3s":
            self.start_tls(target.tls(), target.hostname)
        self.greeting = self.status()
        if account is not None:
            self.ok(f"USER {account.address}")
            self.ok(f"PASS {account.password}")

    def status(self) -> bytes:
        line = self.read_line()
        assert line.endswith(b"\r\n"), f"a reply must end CRLF: {line!r}"
        return line[:-2]

    def command(self, line: str) -> bytes:
        self.send(line.encode() + b"\r\n")
        return self.status()

    def ok(self, line: str) -> bytes:
        answer = self.command(line)
        assert answer.startswith(b"+OK"), f"{line}: {answer!r}"
        return answer

    def multi(self, line: str) -> bytes:
        """A command with a multi-line answer: its bytes, dots removed (RFC 1939 §3), the final line left out."""
        self.ok(line)
        return self.read_multi()

    def read_multi(self) -> bytes:
        """Up to the line with a dot alone; only CRLF ends a line, so bare CR and LF stay what they are."""
        searched = 0
        while not self.buffer.startswith(b".\r\n") and (at := self.buffer.find(b"\r\n.\r\n", searched)) < 0:
            searched = max(0, len(self.buffer) - 4)
            self.fill()
        if self.buffer.startswith(b".\r\n"):
            self._take(3)
            return b""
        data = self._take(at + 5)[:-3]
        return data.replace(b"\r\n..", b"\r\n.")[1 if data.startswith(b"..") else 0 :]
