"""IMAP as bytes (RFC 3501): each response whole, its literals apart, nothing interpreted but tags and literals."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tests.harness.target import Account, Target
from tests.harness.wire import Stream

LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")


@dataclass(slots=True)
class Response:
    """One response line: `text` with literals cut out (their `{n}` stays), and the literals in order."""

    text: bytes
    literals: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Result:
    """What a command brought: its untagged responses and the tagged one, without the tag."""

    untagged: list[Response]
    tagged: bytes

    @property
    def ok(self) -> bool:
        return self.tagged.startswith(b"OK")

    def texts(self, word: bytes) -> list[bytes]:
        """Texts of the untagged responses in which `word` stands as a word."""
        return [r.text for r in self.untagged if word in re.split(rb"[ ()\[\]]", r.text)]

    def code(self, name: bytes) -> bytes:
        """What stands after `name` in a response code of any response; AssertionError where there is none."""
        for text in (self.tagged, *(r.text for r in self.untagged)):
            if found := re.search(rb"\[" + name + rb"(?: ([^\]]*))?\]", text):
                return found[1] or b""
        raise AssertionError(f"no [{name.decode()}] in {self}")


class Imap(Stream):
    """A connection to an IMAP port, greeted. `service` is "imap" or "imaps"."""

    def __init__(
        self, target: Target, account: Account | None = None, *, service: str = "imap", timeout: float = 60
    ) -> None:
        super().__init__(target.host, target.port(service), timeout=timeout)
        self.target = target
        if service == "imaps":
            self.start_tls(target.tls(), target.hostname)
        self.greeting = self.response().text
        self.count = 0
        if account is not None:
            self.login(account)

    def response(self) -> Response:
        line = self.read_line()
        found = Response(b"")
        while (literal := LITERAL.search(line)) is not None:
            found.text += line[:-2]
            found.literals.append(self.read_exactly(int(literal[1])))
            line = self.read_line()
        assert line.endswith(b"\r\n"), f"a response must end CRLF: {line!r}"
        found.text += line[:-2]
        return found

    def begin(self, command: str | bytes) -> bytes:
        """Send a command and return its tag; `finish` reads its result."""
        self.count += 1
        tag = b"T%d" % self.count
        self.send(tag + b" " + (command.encode() if isinstance(command, str) else command) + b"\r\n")
        return tag

    def finish(self, tag: bytes) -> Result:
        untagged: list[Response] = []
        while True:
            response = self.response()
            if response.text.startswith(tag + b" "):
                return Result(untagged, response.text[len(tag) + 1 :])
            untagged.append(response)

    def command(self, command: str | bytes) -> Result:
        return self.finish(self.begin(command))

    def ok(self, command: str | bytes) -> Result:
        result = self.command(command)
        assert result.ok, f"{command!r}: {result.tagged!r}"
        return result

    def upgrade(self) -> None:
        self.ok("STARTTLS")
        self.start_tls(self.target.tls(), self.target.hostname)

    def login(self, account: Account) -> Result:
        return self.ok(f'LOGIN "{account.address}" "{account.password}"')

    def append(self, mailbox: str, message: bytes, flags: str = "") -> Result:
        """APPEND with a synchronising literal; a refusal before the literal is the result then."""
        self.count += 1
        tag = b"T%d" % self.count
        options = f" ({flags})" if flags else ""
        self.send(tag + f' APPEND "{mailbox}"{options} {{{len(message)}}}\r\n'.encode())
        first = self.response()
        if not first.text.startswith(b"+"):
            return Result([], first.text.removeprefix(tag + b" "))
        self.send(message + b"\r\n")
        return self.finish(tag)

    def exists(self, mailbox: str = "INBOX") -> int:
        """How many messages STATUS counts."""
        result = self.ok(f'STATUS "{mailbox}" (MESSAGES)')
        found = re.search(rb"MESSAGES (\d+)", result.texts(b"STATUS")[0])
        assert found is not None
        return int(found[1])

    def uids(self) -> list[int]:
        """Every UID of the selected mailbox, by UID SEARCH ALL."""
        (line,) = self.ok("UID SEARCH ALL").texts(b"SEARCH")
        return [int(uid) for uid in line.split()[2:]]

    def flags(self) -> dict[int, frozenset[bytes]]:
        """UID to flags, of every message of the selected mailbox."""
        found: dict[int, frozenset[bytes]] = {}
        for response in self.ok("UID FETCH 1:* (UID FLAGS)").untagged:
            flags = re.search(rb"FLAGS \(([^)]*)\)", response.text)
            uid = re.search(rb"UID (\d+)", response.text)
            if flags and uid and b" FETCH " in response.text:
                found[int(uid[1])] = frozenset(flags[1].split())
        return found

    def bodies(self, uids: str = "1:*") -> dict[int, bytes]:
        """UID to the whole message, by BODY.PEEK[]; empty bodies may come as quoted strings."""
        found: dict[int, bytes] = {}
        for response in self.ok(f"UID FETCH {uids} (UID BODY.PEEK[])").untagged:
            uid = re.search(rb"UID (\d+)", response.text)
            if uid and b" FETCH " in response.text and b"BODY[]" in response.text:
                found[int(uid[1])] = response.literals[0] if response.literals else quoted(response.text)
        return found


def quoted(text: bytes) -> bytes:
    """The quoted string after BODY[], unescaped; NIL counts as empty."""
    found = re.search(rb'BODY\[\] (?:"((?:[^"\\]|\\.)*)"|NIL)', text)
    assert found is not None, text
    return re.sub(rb"\\(.)", rb"\1", found[1] or b"")
