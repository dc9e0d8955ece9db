"""The connection to another server: bytes out, replies in, each awaited for a bounded time.

- Nothing that came in the clear is taken for an answer after STARTTLS (RFC 3207 §6, the injection of CVE-2011-0411).
- `drained` returns when everything written has left this process, so that nothing is sent later than it seems.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import Final, cast

from mailpod.relay.replies import BadReply, Reply, ReplyReader

_MOST_WAITING: Final = 2000  # replies that nobody asked for


class Lost(Exception):
    """The connection is gone, or of no use any more. The text says how."""


class Wire(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = ReplyReader()
        self._replies: deque[Reply] = deque()
        self._fault = ""
        self._waiter: asyncio.Future[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def lost(self) -> bool:
        return bool(self._fault)

    @property
    def quiet(self) -> bool:
        """Whether the server said nothing that was not asked for: what an idle connection is to be."""
        return not self._fault and not self._replies and self._reader.empty

    @property
    def tls(self) -> ssl.SSLObject | None:
        found = self._transport.get_extra_info("ssl_object") if self._transport else None
        return cast("ssl.SSLObject | None", found)

    def write(self, *pieces: bytes) -> None:
        if self._fault or self._transport is None:
            raise Lost(self._fault)
        self._transport.writelines(pieces)

    async def reply(self, seconds: float) -> Reply:
        """The next one. Raises Lost."""
        if not self._replies:
            await self._more(seconds)
        return self._replies.popleft()

    async def drained(self, seconds: float) -> None:
        """Until all that was written is on its way. Raises Lost when nothing moves for `seconds`."""
        while not self._writable.is_set():
            assert self._transport is not None
            before = self._transport.get_write_buffer_size()
            try:
                async with asyncio.timeout(seconds):
                    await self._writable.wait()
            except TimeoutError:
                if self._transport.get_write_buffer_size() >= before:
                    raise self._give_up("the server takes nothing of the message") from None
        if self._fault:
            raise Lost(self._fault)

    async def start_tls(self, context: ssl.SSLContext, name: str, seconds: float) -> None:
        """The handshake. Raises Lost, and ssl.SSLError or OSError where it fails."""
        if not self.quiet or self._transport is None:
            raise self._give_up("the server talks before TLS is there")
        try:
            upgraded = await self._loop.start_tls(
                self._transport, self, context, server_hostname=name, ssl_handshake_timeout=seconds
            )
        except (OSError, ssl.SSLError):
            self.abort()
            raise
        if upgraded is None:
            raise self._give_up("the connection was closed during the handshake")
        self._use(upgraded)

    def abort(self) -> None:
        """Cut it: nothing more is sent, what is buffered neither."""
        self._fault = self._fault or "cut"
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Send what is buffered, and close."""
        self._fault = self._fault or "closed"
        if self._transport is not None:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._use(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        try:
            self._replies += self._reader.feed(data)
            if len(self._replies) > _MOST_WAITING:
                raise BadReply("more replies than questions")
        except BadReply as error:
            self._give_up(f"the server does not speak SMTP: {error}")
        self._wake()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._fault = self._fault or "the server closed the connection"
        self._writable.set()
        self._wake()

    def _use(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=0)  # paused whenever anything waits: `drained`

    async def _more(self, seconds: float) -> None:
        if self._fault:
            raise Lost(self._fault)
        self._waiter = self._loop.create_future()
        timer = self._loop.call_later(seconds, self._late)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None
        if not self._replies:
            raise Lost(self._fault)

    def _late(self) -> None:
        self._give_up("no answer in time")
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done() and (self._replies or self._fault):
            self._waiter.set_result(None)

    def _give_up(self, text: str) -> Lost:
        self._fault = self._fault or text
        self.abort()
        return Lost(self._fault)
