"""The bytes of one SMTP connection, both ways.

Replies are held back while a whole command lies in the buffer, so that a pipelined group is answered in one write
(RFC 2920 §3.2), and go out before anything waits for the client. The buffer is bounded: reading pauses above
HIGH_WATER while nobody waits for more. Every wait for the client has a deadline, which the pod's shared tick keeps.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mailpod.net.limits import Connections
    from mailpod.net.tls import TlsContexts

HIGH_WATER: Final = 256 * 1024  # octets; the buffer may hold one receive more than this


class LineTooLong(Exception):
    """A command line over its limit; it was read to its end and dropped."""


class BareNewline(Exception):
    """A command line that did not end with CRLF, or has a CR or LF alone in it."""


class Disconnected(Exception):
    """The client is gone, or has sent all that it will."""


class TimedOut(Exception):
    """The client did not send, or did not read, within its time."""


class Interrupted(Exception):
    """The pod ends this connection while it waits for the client; `reply` is what the client is told."""

    def __init__(self, reply: str) -> None:
        self.reply = reply
        super().__init__(reply)


class Stream:
    """Owned by one protocol, which forwards the transport's calls, and used by one task.

    Deadlines are in the time of `connections.now`, seconds as of the last tick.
    """

    def __init__(self, connections: Connections) -> None:
        self.buffer = bytearray()
        self.closed = False
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._replies: list[bytes] = []
        self._eof = False
        self._reading = True
        self._writable = True
        self._waiter: asyncio.Future[None] | None = None
        self._closing = False
        self._deadline = 0.0

    # called by the protocol

    def attach(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def feed(self, data: bytes) -> None:
        self.buffer += data
        if self._waiter is not None:
            self._wake()
        elif len(self.buffer) > HIGH_WATER and self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def feed_eof(self) -> None:
        self._eof = True
        self._wake()

    def lost(self) -> None:
        self.closed = self._eof = True
        self._wake()

    def set_writable(self, writable: bool) -> None:
        self._writable = writable
        if writable:
            self._wake()

    def tick(self, now: float) -> None:
        if now <= self._deadline:
            return
        if self._closing and self._transport is not None:
            self._transport.abort()  # it never read its last reply
        self._fail(TimedOut())

    def interrupt(self, reply: str) -> None:
        """End a wait for the client, if there is one just now, with Interrupted."""
        self._fail(Interrupted(reply))

    # called by the task

    @property
    def now(self) -> float:
        return self._connections.now

    def write(self, reply: bytes) -> None:
        """Queue one reply, its CRLF included; `flush`, or the next wait, sends it."""
        self._replies.append(reply)

    def flush(self) -> None:
        if self._replies:
            if self._transport is not None and not self.closed:
                self._transport.write(self._replies[0] if len(self._replies) == 1 else b"".join(self._replies))
            self._replies.clear()

    async def line(self, limit: int, seconds: float) -> bytes:
        """The next command without its CRLF. `limit` counts the CRLF; `seconds` are for the whole line.

        Raises LineTooLong, BareNewline, Disconnected, TimedOut, Interrupted.
        """
        end = self.buffer.find(b"\n")
        if end < 0:
            end = await self._line_end(limit, seconds)
        line = bytes(self.buffer[: end + 1])
        del self.buffer[: end + 1]
        if len(line) > limit:
            raise LineTooLong
        if not line.endswith(b"\r\n") or line.find(b"\r") != len(line) - 2:
            raise BareNewline  # RFC 5321 §2.3.8
        return line[:-2]

    async def more(self, deadline: float) -> None:
        """Send what is queued and wait for new bytes. Raises Disconnected, TimedOut, Interrupted."""
        self.flush()
        if self._eof:
            raise Disconnected
        self._resume()
        self._deadline = deadline
        while True:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
            if self._writable or self.closed:  # a client that does not read is not read from
                return

    async def start_tls(
        self, protocol: asyncio.Protocol, contexts: TlsContexts, handshake: float, shutdown: float
    ) -> asyncio.Transport:
        """Upgrade in place. What lies in the buffer came in the clear and is dropped (RFC 3207 §4.2).

        `handshake` and `shutdown` are time-outs in seconds. Raises Disconnected, and OSError (ssl.SSLError is one) or
        RuntimeError when the handshake fails.
        """
        self.flush()
        if self._transport is None or self.closed:
            raise Disconnected
        self._transport.pause_reading()
        self._reading = True  # the handshake reads, and so does the transport that it makes
        self.buffer.clear()
        secured = await self._loop.start_tls(
            self._transport,
            protocol,
            contexts.context(),
            server_side=True,
            ssl_handshake_timeout=handshake,
            ssl_shutdown_timeout=shutdown,
        )
        if secured is None or self.closed:  # the connection was lost meanwhile
            raise Disconnected
        self._transport = secured
        return secured

    def close(self, seconds: float) -> None:
        """Send what is queued, then close; a client that does not read it in time is cut."""
        self.flush()
        self._closing, self._deadline = True, self.now + seconds
        if self._transport is not None:
            self._transport.close()

    async def _line_end(self, limit: int, seconds: float) -> int:
        deadline = self.now + seconds
        searched = 0
        too_long = False
        while (end := self.buffer.find(b"\n", searched)) < 0:
            searched = len(self.buffer)
            if searched > limit:
                too_long = True
                self.buffer.clear()
                searched = 0
            await self.more(deadline)
        if too_long:
            del self.buffer[: end + 1]
            raise LineTooLong
        return end

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def _resume(self) -> None:
        if not self._reading and self._transport is not None:
            self._reading = True
            self._transport.resume_reading()
