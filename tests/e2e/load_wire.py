"""The load's clients: SMTP, IMAP and POP3 as a correct client speaks them, on asyncio's streams.

- `Cut` is what a correct client answers by connecting again: refused, reset, closed, 421, BYE, a temporary refusal.
- `Fault` is everything else that is not as it should be: a permanent refusal, a missing capability, a wrong answer.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import re
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0
_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT}
_TEMPORARY = re.compile(rb"[^ ]+ NO \[UNAVAILABLE\]")
_LITERAL = re.compile(rb"\{(\d+)\}\r\n$")
_FLAGS = re.compile(rb"FLAGS \(([^)]*)\)")
_UID = re.compile(rb"\bUID (\d+)")
_EXISTS = re.compile(rb"^\* (\d+) EXISTS\r\n")


class Cut(Exception):
    """The connection ended, or the server asks to come back; `kind` is for counting."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(kind)


class Fault(Exception):
    """What no client should meet."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where the load goes; the ports are by the names of the harness's STANDARD."""

    host: str
    hostname: str
    ports: dict[str, int]
    tls: ssl.SSLContext = field(repr=False)


@asynccontextmanager
async def _ends(seconds: float) -> AsyncIterator[None]:
    """Whatever ends a connection becomes a Cut."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise Cut("silent") from None
    except asyncio.IncompleteReadError:
        raise Cut("closed") from None
    except ConnectionRefusedError:
        raise Cut("refused") from None
    except ConnectionError:
        raise Cut("reset") from None
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError):
        raise Cut("cut in TLS") from None
    except OSError as error:
        if error.errno in _UNREACHABLE:
            raise Cut("unreachable") from None
        raise Fault(f"{type(error).__name__}: {error}") from None


class Channel:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, server: Server, service: str) -> Channel:
        implicit = {"ssl": server.tls, "server_hostname": server.hostname} if service.endswith("s") else {}
        async with _ends(CONNECT_SECONDS):
            return cls(*await asyncio.open_connection(server.host, server.ports[service], limit=1 << 18, **implicit))

    async def secure(self, server: Server) -> None:
        async with _ends(CONNECT_SECONDS):
            await self._writer.start_tls(server.tls, server_hostname=server.hostname)

    async def line(self) -> bytes:
        async with _ends(ANSWER_SECONDS):
            return await self._reader.readuntil(b"\n")

    async def exactly(self, octets: int) -> bytes:
        async with _ends(ANSWER_SECONDS):
            return await self._reader.readexactly(octets)

    async def until_dot(self) -> bytes:
        """A POP3 answer of several lines, still stuffed, without the dot that ends it. Nothing may follow unasked."""
        data = bytearray()
        async with _ends(ANSWER_SECONDS):
            while not data.endswith(b"\r\n.\r\n") and data != b".\r\n":
                chunk = await self._reader.read(1 << 18)
                if not chunk:
                    raise Cut("closed")
                data += chunk
        return bytes(data[:-3])

    async def send(self, data: bytes) -> None:
        async with _ends(ANSWER_SECONDS):
            self._writer.write(data)
            await self._writer.drain()

    def close(self) -> None:
        self._writer.close()

    def abort(self) -> None:
        self._writer.transport.abort()


class Smtp:
    """RFC 5321. A connection may carry several messages."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.messages = 0

    @classmethod
    async def open(cls, server: Server, service: str, user: str = "", password: str = "") -> Smtp:
        smtp = cls(await Channel.open(server, service))
        try:
            await smtp._begin(server, service, user, password)
        except BaseException:
            smtp.close()
            raise
        return smtp

    async def _begin(self, server: Server, service: str, user: str, password: str) -> None:
        await self._expect(220)
        offered = await self._ehlo("PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME")
        if service == "submission":
            if "STARTTLS" not in offered:
                raise Fault(f"no STARTTLS among {offered}")
            await self._channel.send(b"STARTTLS\r\n")
            await self._expect(220)
            await self._channel.secure(server)
            offered = await self._ehlo()
        if user:
            if not any(line.startswith("AUTH ") and "PLAIN" in line.split() for line in offered):
                raise Fault(f"no AUTH PLAIN among {offered}")
            token = base64.b64encode(f"\0{user}\0{password}".encode())
            await self._channel.send(b"AUTH PLAIN %b\r\n" % token)
            await self._expect(235)

    async def _ehlo(self, *wanted: str) -> list[str]:
        await self._channel.send(b"EHLO load.test\r\n")
        offered = await self._expect(250)
        if missing := set(wanted) - set(offered):
            raise Fault(f"EHLO does not offer {sorted(missing)}: {offered}")
        return offered

    async def deliver(self, sender: str, recipients: Sequence[str], data: bytes, leaving: Callable[[], None]) -> None:
        """One transaction, pipelined. `leaving` is called before the final dot can go. Returns when it is accepted."""
        commands = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{one}>" for one in recipients), "DATA"]
        await self._channel.send("".join(f"{command}\r\n" for command in commands).encode())
        for _ in commands[:-1]:
            await self._expect(250)
        await self._expect(354)
        leaving()
        await self._channel.send(data + b".\r\n")
        await self._expect(250)
        self.messages += 1

    async def quit(self) -> None:
        await self._channel.send(b"QUIT\r\n")
        await self._expect(221)
        self.close()

    def close(self) -> None:
        self._channel.abort()

    async def _expect(self, code: int) -> list[str]:
        """The texts of a reply. Raises Cut for 4xx, Fault for any other than `code`."""
        texts = []
        while True:
            line = await self._channel.line()
            texts.append(line[4:].decode().strip())
            if line[3:4] != b"-":
                break
        if line[:3] == b"421":
            raise Cut("421")
        if line[:1] == b"4":
            raise Cut(f"temporary {line[:9].decode()}")
        if int(line[:3]) != code:
            raise Fault(f"SMTP, instead of {code}: {line!r}")
        return texts


@dataclass(frozen=True, slots=True)
class Row:
    """What a FETCH told of one message."""

    uid: int
    flags: frozenset[str]
    content: bytes


class Imap:
    """RFC 3501. A command returns its untagged responses, literals in place."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._tag = 0

    @classmethod
    async def open(cls, server: Server, service: str, user: str, password: str) -> Imap:
        imap = cls(await Channel.open(server, service))
        try:
            imap._look(await imap._channel.line(), b"* OK")
            if service == "imap":
                await imap.command("STARTTLS")
                await imap._channel.secure(server)
            await imap.command(f'LOGIN "{user}" "{password}"')
        except BaseException:
            imap.close()
            raise
        return imap

    async def select(self, mailbox: str = "INBOX") -> int:
        """EXISTS."""
        for response in await self.command(f"SELECT {mailbox}"):
            if found := _EXISTS.match(response):
                return int(found[1])
        raise Fault("SELECT without EXISTS")

    async def fetch(self, numbers: str, item: str, *, uid: bool = False) -> list[Row]:
        """What has a literal; the flags that others change come unasked, and without."""
        responses = await self.command(f"{'UID ' if uid else ''}FETCH {numbers} (UID FLAGS {item})")
        return [_row(response) for response in responses if b" FETCH (" in response[:40] and b"}\r\n" in response]

    async def store(self, uid: int, change: str) -> list[Row]:
        """`change` is such as `+FLAGS ($Done)`."""
        responses = await self.command(f"UID STORE {uid} {change}")
        # what others changed meanwhile comes along, without UIDs
        return [_row(response) for response in responses if b" FETCH (" in response[:40] and _UID.search(response)]

    async def logout(self) -> None:
        await self.command("LOGOUT", bye=True)
        self.close()

    async def command(self, text: str, *, bye: bool = False) -> list[bytes]:
        """Raises Cut for BYE, Fault for anything but OK."""
        self._tag += 1
        tag = b"A%d " % self._tag
        await self._channel.send(tag + text.encode() + b"\r\n")
        responses = []
        while True:
            response = await self._response()
            if response.startswith(tag):
                self._look(response, tag + b"OK")
                return responses
            if not bye:
                self._look(response, b"* ")
            responses.append(response)

    async def _response(self) -> bytes:
        response = await self._channel.line()
        while literal := _LITERAL.search(response):
            response += await self._channel.exactly(int(literal[1]))
            response += await self._channel.line()
        return response

    @staticmethod
    def _look(response: bytes, wanted: bytes) -> None:
        if response.startswith(b"* BYE"):
            raise Cut("BYE")
        if _TEMPORARY.match(response):  # RFC 5530 §3, as SMTP's 4xx and POP3's SYS/TEMP
            raise Cut("temporary NO [UNAVAILABLE]")
        if not response.startswith(wanted):
            raise Fault(f"IMAP, instead of {wanted!r}: {response[:200]!r}")

    def close(self) -> None:
        self._channel.abort()


def _row(response: bytes) -> Row:
    """A FETCH response of UID, FLAGS and at most one literal."""
    flags, uid = _FLAGS.search(response), _UID.search(response)
    if flags is None or uid is None:
        raise Fault(f"IMAP, FETCH without UID or FLAGS: {response[:200]!r}")
    content = b""
    if literal := re.search(rb"\{(\d+)\}\r\n", response):
        content = response[literal.end() : literal.end() + int(literal[1])]
    return Row(int(uid[1]), frozenset(flags[1].decode().split()), content)


class Pop3:
    """RFC 1939."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @classmethod
    async def open(cls, server: Server, service: str, user: str, password: str) -> Pop3:
        pop3 = cls(await Channel.open(server, service))
        try:
            await pop3._status()
            if service == "pop3":
                await pop3.command("STLS")
                await pop3._channel.secure(server)
            await pop3.command(f"USER {user}")
            await pop3.command(f"PASS {password}")
        except BaseException:
            pop3.close()
            raise
        return pop3

    async def stat(self) -> int:
        """How many messages there are."""
        return int((await self.command("STAT")).split()[1])

    async def uidl(self) -> dict[int, bytes]:
        """Unique ids by message number."""
        await self.command("UIDL")
        rows = (line.split() for line in (await self._lines()).splitlines())
        return {int(number): unique for number, unique in rows}

    async def retrieve(self, number: int) -> bytes:
        await self.command(f"RETR {number}")
        return await self._lines()

    async def quit(self) -> None:
        await self.command("QUIT")
        self.close()

    async def command(self, text: str) -> bytes:
        await self._channel.send(text.encode() + b"\r\n")
        return await self._status()

    async def _status(self) -> bytes:
        line = await self._channel.line()
        if line.startswith((b"-ERR [SYS/TEMP]", b"-ERR [IN-USE]")):
            raise Cut(f"temporary {line[:40].decode().strip()}")
        if not line.startswith(b"+OK"):
            raise Fault(f"POP3: {line!r}")
        return line

    async def _lines(self) -> bytes:
        data = (await self._channel.until_dot()).removeprefix(b".")
        return data.replace(b"\r\n.", b"\r\n")

    def close(self) -> None:
        self._channel.abort()
