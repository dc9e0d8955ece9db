"""Behind a load balancer that speaks the PROXY protocol: who the client is, and who may say so."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
from tests.mailpod.support import bare_services, client_context

from mailpod.config import ConfigError, ListenerSettings, parse
from mailpod.net.listener import listen, port_of
from mailpod.net.tls import TlsContexts
from mailpod.net.wire import Wire
from mailpod.pod import mail_factory

LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n"
OWN = b"\r\n\r\n\x00\r\nQUIT\n" + struct.pack(">BBH", 0x20, 0, 0)


class Whois(Wire):
    """Says who the client is taken for, and echoes."""

    protocol = "imap"

    def on_connect(self) -> None:
        host, port, local = self.peer
        self.write(f"{host} {port or 'a'} {local} {self.secure}\n".encode())

    def on_input(self, buffer: bytearray) -> None:
        self.write(bytes(buffer))
        buffer.clear()


@contextlib.asynccontextmanager
async def serving(
    tls: Literal["none", "implicit"] = "none",
    contexts: TlsContexts | None = None,
    *,
    protocol: str = "whois",
    networks: tuple[str, ...] = ("127.0.0.0/8",),
    **proxy: Any,
) -> AsyncIterator[int]:
    services = bare_services(contexts, proxy={"networks": networks, **proxy})
    mail: Any = "imap" if protocol == "whois" else protocol
    role: Any = "submission" if mail == "smtp" else None
    listener = ListenerSettings(protocol=mail, role=role, host="127.0.0.1", port=0, tls=tls, proxy=True)
    factory = (lambda: Whois(services)) if protocol == "whois" else mail_factory(listener, services)
    server = await listen(listener, factory, services)
    try:
        yield port_of(server)
    finally:
        server.close()
        services.connections.abort()
        await asyncio.sleep(0.01)


async def dialogue(port: int, said: bytes) -> bytes:
    """What comes back for `said`, which is all that the client says."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    writer.write_eof()
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionError:  # closed with what we said unread
        return b""
    finally:
        writer.close()


async def test_the_announced_client_is_the_peer() -> None:
    async with serving() as port:
        assert await dialogue(port, LINE + b"hello") == b"192.0.2.7 4711 False False\nhello"


async def test_a_header_in_pieces() -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in LINE:
            writer.write(bytes([octet]))
            await writer.drain()
            await asyncio.sleep(0)
        assert await reader.readline() == b"192.0.2.7 4711 False False\n"
        writer.close()


@pytest.mark.parametrize("header", [OWN, b"PROXY UNKNOWN\r\n", LINE.replace(b"192.0.2.7", b"127.0.0.1")])
async def test_nobody_is_local_behind_a_proxy(header: bytes) -> None:
    async with serving() as port:
        heard = await dialogue(port, header)
        assert heard.startswith(b"127.0.0.1 ")
        assert heard.endswith(b" False False\n")


@pytest.mark.parametrize(
    ("protocol", "asked"), [("smtp", b"EHLO c\r\n"), ("imap", b"a CAPABILITY\r\n"), ("pop3", b"CAPA\r\n")]
)
async def test_no_log_in_in_the_clear_through_a_proxy_on_this_host(
    protocol: str, asked: bytes, tls: TlsContexts
) -> None:
    async with serving(contexts=tls, protocol=protocol) as port:
        heard = await dialogue(port, OWN + asked)
        assert b"PLAIN" not in heard
        assert b"STLS" in heard or b"STARTTLS" in heard


async def test_a_header_before_tls(tls: TlsContexts) -> None:
    async with serving("implicit", tls) as port:
        opened = socket.create_connection(("127.0.0.1", port))
        opened.sendall(LINE)
        opened.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=opened, ssl=client_context(), server_hostname="x")
        assert await reader.readline() == b"192.0.2.7 4711 False True\n"
        writer.close()


async def test_a_header_inside_tls_is_none(tls: TlsContexts) -> None:
    async with serving("implicit", tls) as port:
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", port, ssl=client_context())


@pytest.mark.parametrize("said", [b"EHLO client.example\r\n", b"PROXY TCP4 junk\r\n", b"PROXY TCP4 192.0.2.7"])
async def test_without_a_header_nothing_is_served(said: bytes) -> None:
    async with serving() as port:
        assert await dialogue(port, said) == b""


async def test_a_stranger_is_not_believed() -> None:
    async with serving(networks=("198.51.100.0/24",)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_a_header_that_does_not_come() -> None:
    async with serving(header_timeout=0.1) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(LINE[:20])
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_limits_count_the_announced_client() -> None:
    services = bare_services(proxy={"networks": ["127.0.0.1"]}, max_connections_per_address=1)
    listener = ListenerSettings(protocol="imap", host="127.0.0.1", port=0, proxy=True)
    server = await listen(listener, lambda: Whois(services), services)
    first = await asyncio.open_connection("127.0.0.1", port_of(server))
    second = await asyncio.open_connection("127.0.0.1", port_of(server))
    third = await asyncio.open_connection("127.0.0.1", port_of(server))
    for (_, writer), header in zip((first, second, third), (LINE, LINE.replace(b".7", b".8"), LINE), strict=True):
        writer.write(header)
        await asyncio.sleep(0.05)
    assert (await first[0].readline()).startswith(b"192.0.2.7 ")
    assert (await second[0].readline()).startswith(b"192.0.2.8 ")
    assert await third[0].read() == b""
    for _, writer in (first, second, third):
        writer.close()
    server.close()
    services.connections.abort()
    await asyncio.sleep(0.01)


def test_settings_name_who_is_believed() -> None:
    listener = '{"protocol": "imap", "port": 1, "tls": "none", "proxy": true}'
    with pytest.raises(ConfigError, match="who is believed"):
        parse(f'{{"bucket": {{"url": "memory:"}}, "listeners": [{listener}]}}')
    with pytest.raises(ConfigError, match=r"proxy.networks"):
        parse('{"bucket": {"url": "memory:"}, "proxy": {"networks": ["everyone"]}}')
