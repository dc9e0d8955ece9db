"""Listening sockets: each is one protocol, on one port, with or without TLS from the first byte."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from mailpod.config import ListenerSettings
from mailpod.net.proxylistener import ProxyListener, bind
from mailpod.services import Services

Factory = Callable[[], asyncio.BaseProtocol]
Listening: TypeAlias = asyncio.Server | ProxyListener


class ListenError(Exception):
    """A port that cannot be listened on; the text names it and says why."""


def name_of(listener: ListenerSettings) -> str:
    """`smtp/mx 0.0.0.0:10025`, for logs and readiness."""
    role = f"/{listener.role}" if listener.role else ""
    proxied = " PROXY" if listener.proxy else ""
    return f"{listener.protocol}{role}{proxied} {listener.host}:{listener.port}"


async def listen(listener: ListenerSettings, factory: Factory, services: Services) -> Listening:
    """Accept connections, each served by a new protocol of `factory`. Raises ListenError.

    With implicit TLS the handshake comes before `connection_made`, and the certificate is chosen anew each time.
    """
    implicit = listener.tls == "implicit"
    settings = services.settings
    try:
        if listener.proxy:
            return ProxyListener(await bind(listener), listener, factory, services)
        return await asyncio.get_running_loop().create_server(
            factory,
            listener.host,
            listener.port,
            backlog=listener.backlog,
            reuse_port=listener.reuse_port or None,
            ssl=services.tls.context() if implicit else None,
            ssl_handshake_timeout=settings.tls_handshake_timeout if implicit else None,
            ssl_shutdown_timeout=settings.tls_shutdown_timeout if implicit else None,
        )
    except OSError as error:
        raise ListenError(f"{name_of(listener)}: {error.strerror or error}") from None


def port_of(server: Listening) -> int:
    """The port that was bound, also when any free one was asked for."""
    port: int = server.sockets[0].getsockname()[1]
    return port
