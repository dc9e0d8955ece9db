"""A listening socket whose connections begin with a PROXY header: who the client is, said by a load balancer.

- Only a peer in `proxy.networks` is believed; any other is closed before a byte of it is read. There is no guessing: a
  connection without a header is closed too.
- Nobody is `local` here: the proxy's own address is no reason to allow a log-in without TLS, and neither is one that it
  names.
- The header is read from the socket octet-exact, so that TLS begins, as everywhere, before `connection_made`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Final, Protocol, cast

from mailpod import logs, metrics
from mailpod.net.peer import Peer, plain_address
from mailpod.net.proxyheader import BadHeader, HeaderReader, Source

if TYPE_CHECKING:
    from mailpod.config import ListenerSettings, ProxySettings
    from mailpod.services import Services

_PAUSE: Final = 1.0  # seconds, when a connection cannot be accepted: too many open files


class Introduced(Protocol):
    """What a protocol needs in order to be told who its client is."""

    announced: Peer | None


class ProxyListener:
    """Stands where an asyncio.Server stands: it has `sockets`, and ends with `close`."""

    def __init__(
        self,
        sockets: list[socket.socket],
        listener: ListenerSettings,
        factory: Callable[[], asyncio.BaseProtocol],
        services: Services,
    ) -> None:
        self.sockets = sockets
        self._listener = listener
        self._factory = factory
        self._services = services
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        for listening in sockets:
            self._spawn(self._accept(listening))

    def close(self) -> None:
        """No new connections; those whose header has not come are closed."""
        for task in self._tasks:
            task.cancel()
        for listening in self.sockets:
            listening.close()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                client, address = await self._loop.sock_accept(listening)
            except OSError as error:
                logs.event("proxy.accept_failed", level="warning", reason=error.strerror or str(error))
                await asyncio.sleep(_PAUSE)
                continue
            if len(self._tasks) > self._services.settings.max_connections:
                client.close()
            else:
                self._spawn(self._introduce(client, plain_address(address[0]), address[1]))

    async def _introduce(self, client: socket.socket, host: str, port: int) -> None:
        outcome = "failed"
        try:
            source, outcome = await self._source(client, host)
            if outcome in ("announced", "own"):
                peer = Peer(plain_address(source.host), source.port, False) if source else Peer(host, port, False)
                await self._hand_over(client, peer)
            else:
                logs.event("proxy.refused", level="warning", peer=host, reason=outcome)
                client.close()
        except BaseException:
            client.close()
            raise
        finally:
            metrics.PROXIED.labels(outcome).inc()

    async def _source(self, client: socket.socket, host: str) -> tuple[Source | None, str]:
        """Who the client is, and what became of asking."""
        settings = self._services.settings.proxy
        if not trusted(host, settings):
            return None, "untrusted"
        reader = HeaderReader(settings.header_bytes)
        try:
            async with asyncio.timeout(settings.header_timeout):
                while reader.wanted:
                    data = await self._loop.sock_recv(client, reader.wanted)
                    if not data:
                        return None, "failed"
                    reader.feed(data)
        except TimeoutError:
            return None, "late"
        except BadHeader:
            return None, "malformed"
        except OSError:
            return None, "failed"
        return reader.source, "announced" if reader.source else "own"

    async def _hand_over(self, client: socket.socket, peer: Peer) -> None:
        settings, implicit = self._services.settings, self._listener.tls == "implicit"
        with contextlib.suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        protocol = self._factory()
        cast(Introduced, protocol).announced = peer
        context: ssl.SSLContext | None = self._services.tls.context() if implicit else None
        try:
            await self._loop.connect_accepted_socket(
                lambda: protocol,
                client,
                ssl=context,
                ssl_handshake_timeout=settings.tls_handshake_timeout if implicit else None,
                ssl_shutdown_timeout=settings.tls_shutdown_timeout if implicit else None,
            )
        except OSError:  # the handshake failed, or the client has gone
            client.close()


def trusted(host: str, settings: ProxySettings) -> bool:
    """Whether a connection from `host` may say whose it is."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in settings.networks)


async def bind(listener: ListenerSettings) -> list[socket.socket]:
    """Listening sockets, one for each address of the host, as create_server makes them. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(
        listener.host or None, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sockets: list[socket.socket] = []
    try:
        for family, kind, number, _, address in dict.fromkeys(found):
            opened = socket.socket(family, kind, number)
            sockets.append(opened)
            opened.setblocking(False)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if listener.reuse_port:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            opened.bind(address)
            opened.listen(listener.backlog)
    except OSError:
        for opened in sockets:
            opened.close()
        raise
    return sockets
