"""Another domain's mail server, made up: it takes mail, and says or does what a test wants of it."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

ALL = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 10000000", "ENHANCEDSTATUSCODES", "DSN")
HANG_UP = "(hangs up)"
SILENCE = "(says nothing)"


@dataclass(frozen=True)
class Taken:
    """A message that was answered 250, or would have been. Parameters are in the commands."""

    mail: str
    rcpts: tuple[str, ...]
    data: bytes

    @property
    def recipients(self) -> list[str]:
        return re.findall(r"TO:<([^>]*)>", " ".join(self.rcpts))


class Peer:
    """`say` changes its next replies to commands that begin so; `dot` is a message's end, `connect` the greeting."""

    def __init__(self, *, extensions: tuple[str, ...] = ALL, tls: ssl.SSLContext | None = None) -> None:
        self.extensions, self.tls = extensions, tls
        self.messages: list[Taken] = []
        self.commands: list[str] = []
        self.connections = self.open = self.most_open = 0
        self.port = 0
        self.on_message: Callable[[Taken], None] = lambda _: None
        self.may_answer = asyncio.Event()  # to the end of a message
        self.may_answer.set()
        self._said: dict[str, deque[str]] = defaultdict(deque)

    def say(self, command: str, *replies: str) -> None:
        """Several replies are for several times; the last one stays when it ends in `…`."""
        self._said[command].extend(replies)

    def forget(self) -> None:
        """Be as usual again."""
        self._said.clear()

    def _answer(self, command: str, usual: str) -> str:
        for prefix, replies in self._said.items():
            if command.upper().startswith(prefix.upper()) and replies:
                return replies[0].rstrip("…") if replies[0].endswith("…") else replies.popleft()
        return usual

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        try:
            await _Conversation(self, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError, _Gone):
            pass
        finally:
            self.open -= 1
            writer.close()


class _Gone(Exception):
    pass


class _Conversation:
    def __init__(self, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peer, self.reader, self.writer = peer, reader, writer
        self.mail, self.rcpts = "", list[str]()

    async def run(self) -> None:
        await self._reply("connect", "220 peer.test ESMTP")
        while True:
            line = (await self.reader.readuntil(b"\r\n")).decode()[:-2]
            self.peer.commands.append(line)
            verb = line.split(" ")[0].upper()
            await getattr(self, f"_{verb.lower()}", self._unknown)(line)
            if verb == "QUIT":
                return

    async def _reply(self, command: str, usual: str) -> str:
        return await self._send(self.peer._answer(command, usual))

    async def _send(self, reply: str) -> str:
        if reply == HANG_UP:
            self.writer.transport.abort()
            raise _Gone
        if reply == SILENCE:
            await self.reader.read()
            raise _Gone
        self.writer.write(reply.encode() + b"\r\n")
        await self.writer.drain()
        if reply.startswith("421"):
            raise _Gone
        return reply

    async def _unknown(self, line: str) -> None:
        await self._reply(line, "500 5.5.1 unknown")

    async def _ehlo(self, line: str) -> None:
        offered = [*self.peer.extensions, *(["STARTTLS"] if self.peer.tls else [])]
        lines = ["peer.test", *offered]
        text = "\r\n".join(f"250{'-' if number < len(lines) - 1 else ' '}{one}" for number, one in enumerate(lines))
        await self._reply(line, text)

    async def _helo(self, line: str) -> None:
        await self._reply(line, "250 peer.test")

    async def _starttls(self, line: str) -> None:
        reply = await self._reply(line, "220 2.0.0 go ahead")
        if reply.startswith("220"):
            await self.writer.start_tls(self.peer.tls)  # type: ignore[arg-type]

    async def _auth(self, line: str) -> None:
        await self._reply(line, "235 2.7.0 welcome")

    async def _mail(self, line: str) -> None:
        if self.mail:  # RFC 5321 §4.1.4, as Postfix has it
            await self._send("503 5.5.1 nested MAIL command")
            return
        reply = await self._reply(line, "250 2.1.0 ok")
        self.mail, self.rcpts = (line if reply.startswith("2") else ""), []

    async def _rcpt(self, line: str) -> None:
        reply = await self._reply(line, "250 2.1.5 ok" if self.mail else "503 5.5.1 MAIL first")
        if reply.startswith("2"):
            self.rcpts.append(line)

    async def _data(self, line: str) -> None:
        reply = await self._reply(line, "354 go on" if self.rcpts else "554 5.5.1 no valid recipients")
        if not reply.startswith("354"):
            return
        data = b""
        while (part := await self.reader.readuntil(b"\r\n")) != b".\r\n":
            data += part.removeprefix(b".")
        taken = Taken(self.mail, tuple(self.rcpts), data)
        self.peer.on_message(taken)
        reply = self.peer._answer("dot", "250 2.0.0 taken" if self.rcpts else "554 5.5.1 no valid recipients")
        if reply.startswith("2") or reply in (HANG_UP, SILENCE):
            self.peer.messages.append(taken)
        self.mail, self.rcpts = "", []
        await self.peer.may_answer.wait()
        await self._send(reply)

    async def _rset(self, line: str) -> None:
        self.mail, self.rcpts = "", []
        await self._reply(line, "250 2.0.0 ok")

    async def _quit(self, line: str) -> None:
        await self._reply(line, "221 2.0.0 bye")


@asynccontextmanager
async def running(peer: Peer, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Peer]:
    """Listening on a port of loopback."""
    server = await asyncio.start_server(peer.serve, host, port)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
