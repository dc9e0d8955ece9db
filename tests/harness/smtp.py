"""SMTP as bytes (RFC 5321): replies with their codes, and a message's end sent when the test says so."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from tests.harness.target import Account, Target
from tests.harness.wire import Stream


@dataclass(frozen=True, slots=True)
class Reply:
    code: int
    lines: list[bytes]

    @property
    def text(self) -> str:
        return " / ".join(line.decode("utf-8", "replace") for line in self.lines)


def stuffed(message: bytes) -> bytes:
    """RFC 5321 §4.5.2: a dot that opens a line is doubled; the final dot follows on a line of its own."""
    if message and not message.endswith(b"\r\n"):
        message += b"\r\n"
    doubled = message.replace(b"\r\n.", b"\r\n..")
    return (b"." + doubled if doubled.startswith(b".") else doubled) + b".\r\n"


class Smtp(Stream):
    """A connection to an SMTP port, greeted. `service` is "smtp", "submission" or "submissions"."""

    def __init__(
        self, target: Target, service: str = "smtp", *, hello: str = "client.test", timeout: float = 30
    ) -> None:
        super().__init__(target.host, target.port(service), timeout=timeout)
        self.target = target
        if service == "submissions":
            self.start_tls(target.tls(), target.hostname)
        self.greeting = self.reply()
        self.extensions = self.command(f"EHLO {hello}").lines if hello else []

    def reply(self) -> Reply:
        lines: list[bytes] = []
        while True:
            line = self.read_line()
            assert line.endswith(b"\r\n"), f"a reply line must end CRLF: {line!r}"
            lines.append(line[4:-2])
            if line[3:4] != b"-":
                return Reply(int(line[:3]), lines)

    def command(self, line: str | bytes) -> Reply:
        self.send((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return self.reply()

    def expect(self, code: int, line: str | bytes) -> Reply:
        reply = self.command(line)
        assert reply.code == code, f"{line!r}: wanted {code}, got {reply}"
        return reply

    def upgrade(self) -> None:
        self.expect(220, "STARTTLS")
        self.start_tls(self.target.tls(), self.target.hostname)
        self.extensions = self.expect(250, "EHLO client.test").lines

    def login(self, account: Account) -> Reply:
        secret = base64.b64encode(f"\0{account.address}\0{account.password}".encode()).decode()
        return self.expect(235, f"AUTH PLAIN {secret}")

    def envelope(self, sender: str, recipients: list[str], options: str = "") -> None:
        self.expect(250, f"MAIL FROM:<{sender}>{options}")
        for recipient in recipients:
            self.expect(250, f"RCPT TO:<{recipient}>")

    def deliver(self, sender: str, recipients: list[str], message: bytes, options: str = "") -> Reply:
        """A whole transaction; the reply is the one to the final dot."""
        self.envelope(sender, recipients, options)
        self.expect(354, "DATA")
        self.send(stuffed(message))
        return self.reply()
