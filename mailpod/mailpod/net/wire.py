"""One client connection for IMAP and POP3: bytes in, bytes out, TLS, back pressure, timeouts; no protocol.

- An idle connection owns no task, no stream reader, no timer and no read buffer: all share `Services.scratch`, which
  is safe because the loop fills it and calls `buffer_updated` without running anything in between.
- Every connection is in `Services.connections` from its first moment to `connection_lost`, once.
- After `start_tls` no byte that came in the clear reaches `on_input` (RFC 2595 §2.2, RFC 9051 §6.2.1).
- A session that raises loses its own connection and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from mailpod import logs, metrics
from mailpod.net.deflate import Broken, Deflate
from mailpod.net.peer import Peer, peer_of

if TYPE_CHECKING:
    from mailpod.services import Services

__all__ = ["Peer", "Wire"]

_PIECE = 64 * 1024  # octets inflated at once
_PIECES = 8  # in a row


class Wire(asyncio.BufferedProtocol):
    """Subclass it, override the `on_…` methods, and write with `write`. Everything happens in the loop's thread."""

    __slots__ = (
        "_closing",
        "_deflate",
        "_drain_waiters",
        "_heard",
        "_lost",
        "_paused",
        "_stuck_since",
        "_stuck_size",
        "_trailing",
        "_transport",
        "_upgrading",
        "_write_paused",
        "announced",
        "buffer",
        "idle_timeout",
        "peer",
        "secure",
        "services",
    )

    protocol: ClassVar[str] = "other"
    """Label of metrics and limits: `imap`, `pop3`."""
    refusal: ClassVar[bytes] = b""
    """What a client over the connection limits is told before it is closed."""

    def __init__(self, services: Services, *, implicit_tls: bool = False) -> None:
        """`implicit_tls`: the listener does TLS before `connection_made`, so that everything is `secure`."""
        self.services = services
        self.announced: Peer | None = None
        """The client, where a load balancer said who that is (net/proxylistener.py)."""
        self.peer = Peer("", 0, False)
        self.secure = implicit_tls
        self.buffer = bytearray()
        self.idle_timeout = services.settings.login_timeout
        """Seconds without input until `on_idle_timeout`; set it anew after login. Not counted while paused."""
        self._transport: asyncio.Transport | None = None
        self._deflate: Deflate | None = None
        self._trailing: Deflate | None = None  # the client compresses no more; the end of its last flush is to come
        self._drain_waiters: list[asyncio.Future[None]] | None = None
        self._heard = 0.0
        self._stuck_since: float | None = None
        self._stuck_size = 0
        self._closing = self._lost = self._paused = self._upgrading = self._write_paused = False

    # To override. All are called in the loop.

    def on_connect(self) -> None:
        """The connection is there (and, with implicit TLS, secure): greet."""

    def on_input(self, buffer: bytearray) -> None:
        """New bytes were appended to `buffer` (the same object as self.buffer): consume with `del buffer[:n]`."""

    def on_eof(self) -> None:
        """The client will send no more. The default closes once what was written is out."""
        self.close()

    def on_lost(self) -> None:
        """The connection is gone, for whatever reason. Called once, also after `close` and `abort`."""

    def on_idle_timeout(self) -> None:
        """Nothing was received for `idle_timeout` seconds. The default closes."""
        self.close()

    def on_drain(self) -> None:
        """The pod is stopping: finish the running command, say goodbye, close. The default closes."""
        self.close()

    def on_revoked(self) -> None:
        """The account was removed, suspended or has a new password: say goodbye, close. The default closes."""
        self.close()

    # To use.

    @property
    def closing(self) -> bool:
        """Closed, closing or lost: whatever is written now goes nowhere."""
        return self._closing

    def write(self, data: bytes | Iterable[bytes | bytearray | memoryview]) -> None:
        """Send, without copying a sequence of buffers (which must not change afterwards). Never blocks: a sender of
        much awaits `drained` between pieces. Ignored when closing."""
        transport = self._transport
        if self._closing or transport is None:
            return
        if self._deflate is not None:
            transport.write(self._deflate.pack([data] if isinstance(data, bytes) else data))
        elif isinstance(data, bytes):
            transport.write(data)
        else:
            transport.writelines(data)

    async def drained(self) -> None:
        """Wait until the client has read enough of what was written. Raises ConnectionResetError when it is gone, or
        did not read anything for `settings.write_timeout` seconds."""
        if self._lost:
            raise ConnectionResetError("connection lost")
        if not self._write_paused:
            return
        waiter = asyncio.get_running_loop().create_future()
        if self._drain_waiters is None:
            self._drain_waiters = []
        self._drain_waiters.append(waiter)
        await waiter

    def pause(self) -> None:
        """Stop reading: what the client sends waits in the kernel, so that `buffer` stays bounded."""
        if not self._paused and not self._lost:
            self._paused = True
            if self._transport is not None and not self._upgrading:
                self._transport.pause_reading()

    def resume(self) -> None:
        """Read again. Does not call `on_input` for what already lies in `buffer`."""
        if self._paused and not self._lost:
            self._paused = False
            self._heard = self.services.connections.now
            if self._deflate is not None and self._deflate.waiting:
                asyncio.get_running_loop().call_soon(self._inflate, self._deflate)
            elif self._transport is not None and not self._upgrading and not self._closing:
                self._transport.resume_reading()

    @property
    def compressed(self) -> bool:
        return self._deflate is not None

    def start_deflate(self) -> None:
        """Compress what is written from here on; what lies in `buffer` came compressed already."""
        self._deflate = Deflate()
        self._deflate.feed(self.buffer)
        del self.buffer[:]
        asyncio.get_running_loop().call_soon(self._inflate, self._deflate)

    def stop_deflate(self) -> None:
        """Compress nothing from here on; what the client sent behind its last flush is not compressed either. Does not
        call `on_input` for it."""
        self._trailing, self._deflate = self._deflate, None
        if self._trailing is not None:
            self._leave_deflate(self._trailing)

    def start_tls(self) -> Awaitable[None]:
        """Upgrade in place, after the go-ahead was written. Plain bytes that are buffered are discarded at the call
        itself, not at the await. Raises ConnectionResetError when the handshake fails; the connection is gone then."""
        transport = self._transport
        if transport is None or self._lost:
            raise ConnectionResetError("connection lost")
        self._upgrading = True
        transport.pause_reading()
        del self.buffer[:]
        return self._upgrade(transport)

    def close(self) -> None:
        """Send what was written, then close; a client that does not read it is cut after `settings.write_timeout`."""
        if self._closing or self._transport is None:
            return
        self._closing = True
        self._stuck_since = self.services.connections.now
        self._transport.close()

    def abort(self) -> None:
        """Close now; what was written may be lost."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run one command as a task that is kept alive and whose crash costs only this connection."""
        return self.services.connections.spawn(self._guard(work))

    # The loop's side.

    def talk_over(self, transport: asyncio.BaseTransport) -> asyncio.Transport:
        """As `connection_made`, but nobody is counted, limited or greeted."""
        used = self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        return used

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        used = self.talk_over(transport)
        self.peer = self.announced or peer_of(transport)
        self.secure = transport.get_extra_info("ssl_object") is not None
        if self.secure:
            metrics.TLS_HANDSHAKES.labels(self.protocol, "ok").inc()
        connections = self.services.connections
        refused = connections.admit(self, self.protocol, self.peer.host)
        self._heard = connections.now
        if refused is not None:
            logs.event("connection.refused", protocol=self.protocol, peer=self.peer.host, reason=refused)
            self.write(self.refusal)
            self.close()
            return
        used.set_write_buffer_limits(high=self.services.settings.write_high_water)
        self._call(self.on_connect)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.services.scratch

    def buffer_updated(self, nbytes: int) -> None:
        if self._closing:
            return
        self._heard = self.services.connections.now
        if self._deflate is not None:
            self._deflate.feed(self.services.scratch[:nbytes])
            self._inflate(self._deflate)
            return
        if self._trailing is not None:
            self._trailing.feed(self.services.scratch[:nbytes])
            self._leave_deflate(self._trailing)
        else:
            self.buffer += self.services.scratch[:nbytes]
        if not self._upgrading:
            self._deliver()

    def eof_received(self) -> bool:
        self._call(self.on_eof)
        # A half-closed plain connection still reads our answers; TLS has no such state.
        return not self.secure and not self._closing

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lost:
            return
        self._closing = self._lost = True
        self._release_drain()
        self.services.connections.leave(self, self.protocol, self.peer.host)
        self._call(self.on_lost)

    def pause_writing(self) -> None:
        self._write_paused = True
        self._stuck_since = self.services.connections.now
        self._stuck_size = self._backlog()

    def resume_writing(self) -> None:
        self._write_paused = False
        if not self._closing:
            self._stuck_since = None
        self._release_drain()

    def on_tick(self, now: float, slack: float) -> None:
        """Called by Connections about once a second: the only clock of an idle connection."""
        if self._stuck_since is not None:
            self._tick_stuck(now)
        elif not self._paused and not self._upgrading and now - self._heard > self.idle_timeout + slack:
            self._heard = now
            self._call(self.on_idle_timeout)

    # Inside.

    def _tick_stuck(self, now: float) -> None:
        backlog = self._backlog()
        if backlog < self._stuck_size:
            self._stuck_since = now
        elif self._stuck_since is not None and now - self._stuck_since > self.services.settings.write_timeout:
            logs.event("connection.stuck", protocol=self.protocol, peer=self.peer.host, unsent=backlog)
            self.abort()
        self._stuck_size = backlog

    def _backlog(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def _release_drain(self) -> None:
        waiters, self._drain_waiters = self._drain_waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                if self._lost:
                    waiter.set_exception(ConnectionResetError("connection lost"))
                else:
                    waiter.set_result(None)

    def _deliver(self) -> None:
        try:
            self.on_input(self.buffer)
        except Exception as error:
            self._crashed(error)

    def _inflate(self, deflate: Deflate) -> None:
        """Deliver what came compressed, a piece at a time and no faster than it is used."""
        pieces = 0
        while deflate.waiting and deflate is self._deflate and not self._paused and not self._closing:
            if pieces == _PIECES:
                self.pause()
                asyncio.get_running_loop().call_soon(self.resume)
                return
            pieces += 1
            try:
                self.buffer += deflate.unpack(_PIECE)
            except Broken:
                logs.event("connection.not_deflate", protocol=self.protocol, peer=self.peer.host)
                self.abort()
                return
            self._deliver()
        if self._transport is not None and not self._paused and not self._closing:
            self._transport.resume_reading()

    def _leave_deflate(self, deflate: Deflate) -> None:
        plain = deflate.leave()
        if plain is not None:
            self._trailing = None
            self.buffer += plain

    def _call(self, method: Any) -> None:
        try:
            method()
        except Exception as error:
            self._crashed(error)

    def _crashed(self, error: BaseException) -> None:
        metrics.SESSION_CRASHES.labels(self.protocol).inc()
        logs.crash("session.crashed", error, protocol=self.protocol, peer=self.peer.host)
        self.abort()

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except ConnectionError:
            self.abort()
        except Exception as error:
            self._crashed(error)

    async def _upgrade(self, plain: asyncio.Transport) -> None:
        settings = self.services.settings
        try:
            secure = await asyncio.get_running_loop().start_tls(
                plain,
                self,
                self.services.tls.context(),
                server_side=True,
                ssl_handshake_timeout=settings.tls_handshake_timeout,
                ssl_shutdown_timeout=settings.tls_shutdown_timeout,
            )
        except (OSError, RuntimeError) as error:
            metrics.TLS_HANDSHAKES.labels(self.protocol, "failed").inc()
            plain.abort()
            raise ConnectionResetError("TLS handshake failed") from error
        self._upgraded(secure)

    def _upgraded(self, secure: asyncio.Transport | None) -> None:
        if secure is None or self._lost:
            raise ConnectionResetError("connection lost")
        metrics.TLS_HANDSHAKES.labels(self.protocol, "ok").inc()
        self._transport = secure
        self.secure, self._upgrading = True, False
        secure.set_write_buffer_limits(high=self.services.settings.write_high_water)
        self._heard = self.services.connections.now
        if self._closing:
            secure.close()
        elif self._paused:
            secure.pause_reading()
        elif self.buffer:
            # What came encrypted right behind the handshake; the awaiting session runs first.
            asyncio.get_running_loop().call_soon(self._deliver)
