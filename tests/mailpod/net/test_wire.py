"""A line-echoing session over real sockets, on uvloop as in a pod."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.mailpod.support import bare_services, client_context, until

from mailpod.net.tls import TlsContexts
from mailpod.net.wire import Wire
from mailpod.services import Services


class Echo(Wire):
    """Answers each line with itself; `STARTTLS`, `BIG`, `CRASH` and `PAUSE` do what they say."""

    protocol = "imap"
    refusal = b"* BYE too many\r\n"
    seen: list[str]

    def __init__(self, services: Services, *, implicit_tls: bool = False) -> None:
        super().__init__(services, implicit_tls=implicit_tls)
        self.seen = []
        self.stuck: BaseException | None = None

    def on_connect(self) -> None:
        self.write(b"* hello %d\r\n" % self.secure)

    def on_input(self, buffer: bytearray) -> None:
        while (end := buffer.find(b"\r\n")) >= 0:
            line = bytes(buffer[:end])
            del buffer[: end + 2]
            self.line(line)

    def line(self, line: bytes) -> None:
        if line == b"STARTTLS":
            self.write(b"OK begin\r\n")
            self.spawn(self.upgrade(self.start_tls()))
        elif line == b"CRASH":
            raise RuntimeError("secret words")
        elif line == b"BIG":
            self.spawn(self.big())
        elif line == b"PAUSE":
            self.pause()
        else:
            self.write([b"> ", line, b"\r\n"])

    async def upgrade(self, upgrading: Any) -> None:
        await upgrading

    async def big(self) -> None:
        try:
            while True:
                self.write(bytes(100_000))
                await self.drained()
        except ConnectionResetError as error:
            self.stuck = error
            raise

    def on_drain(self) -> None:
        self.write(b"* BYE draining\r\n")
        self.close()

    def on_lost(self) -> None:
        self.seen.append("lost")


class Served:
    def __init__(self, services: Services, port: int, sessions: list[Echo]) -> None:
        self.services, self.port, self.sessions = services, port, sessions

    async def connect(self, **kw: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, **kw)


@contextlib.asynccontextmanager
async def serve(tls: TlsContexts | None = None, *, implicit: bool = False, **settings: Any) -> AsyncIterator[Served]:
    services = bare_services(tls, **settings)
    sessions: list[Echo] = []

    def make() -> Echo:
        sessions.append(Echo(services, implicit_tls=implicit))
        return sessions[-1]

    server = await asyncio.get_running_loop().create_server(
        make,
        "127.0.0.1",
        0,
        ssl=services.tls.context() if implicit else None,
        ssl_handshake_timeout=services.settings.tls_handshake_timeout if implicit else None,
    )
    yield Served(services, server.sockets[0].getsockname()[1], sessions)
    server.close()
    services.connections.abort()
    await asyncio.sleep(0.01)


async def test_lines_go_both_ways_however_they_are_cut() -> None:
    async with serve() as served:
        reader, writer = await served.connect()
        assert await reader.readline() == b"* hello 0\r\n"
        assert served.sessions[0].peer.local
        for byte in b"one\r\ntwo\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
        assert await reader.readline() == b"> one\r\n"
        assert await reader.readline() == b"> two\r\n"
        assert len(served.services.connections) == 1
        writer.close()
        await until(lambda: served.sessions[0].seen == ["lost"])
        assert len(served.services.connections) == 0


async def test_starttls_upgrades_and_forgets_what_was_sent_in_the_clear(tls: TlsContexts) -> None:
    async with serve(tls) as served:
        reader, writer = await served.connect()
        await reader.readline()
        writer.write(b"STARTTLS\r\n")
        assert await reader.readline() == b"OK begin\r\n"
        await writer.start_tls(client_context(), server_hostname="mail.example")
        writer.write(b"secret\r\n")
        assert await reader.readline() == b"> secret\r\n"
        assert served.sessions[0].secure
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        writer.close()


async def test_injected_command_behind_starttls_is_never_run(tls: TlsContexts) -> None:
    """CVE-2011-0411: the same packet holds STARTTLS and a command of the attacker's."""
    async with serve(tls) as served:
        reader, writer = await served.connect()
        await reader.readline()
        writer.write(b"STARTTLS\r\ninjected\r\n")
        assert await reader.readline() == b"OK begin\r\n"
        await writer.start_tls(client_context(), server_hostname="mail.example")
        writer.write(b"mine\r\n")
        assert await reader.readline() == b"> mine\r\n"
        writer.close()


async def test_implicit_tls_greets_after_the_handshake(tls: TlsContexts) -> None:
    async with serve(tls, implicit=True) as served:
        reader, writer = await served.connect(ssl=client_context())
        assert await reader.readline() == b"* hello 1\r\n"
        writer.write(b"x\r\n")
        assert await reader.readline() == b"> x\r\n"
        writer.close()
        await until(lambda: len(served.services.connections) == 0)


async def test_client_that_never_shakes_hands_is_cut(tls: TlsContexts) -> None:
    async with serve(tls, implicit=True, tls_handshake_timeout=0.2) as served:
        reader, _ = await served.connect()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        await until(lambda: len(served.services.connections) == 0)


async def test_plain_text_on_a_tls_port_ends_that_connection_alone(tls: TlsContexts) -> None:
    async with serve(tls, implicit=True) as served:
        reader, writer = await served.connect()
        writer.write(b"GET / HTTP/1.0\r\n\r\n" * 10)
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), 5)
        await until(lambda: len(served.services.connections) == 0)


async def test_old_tls_is_refused(tls: TlsContexts) -> None:
    async with serve(tls, implicit=True) as served:
        context = client_context()
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        with pytest.warns(DeprecationWarning):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
            context.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await served.connect(ssl=context)


async def test_silent_client_is_closed_after_its_idle_time() -> None:
    async with serve(login_timeout=0.3) as served:
        reader, _ = await served.connect()
        assert await asyncio.wait_for(reader.read(), 5) == b"* hello 0\r\n"


async def test_talking_client_is_not_closed() -> None:
    async with serve(login_timeout=0.4) as served:
        reader, writer = await served.connect()
        await reader.readline()
        for _ in range(6):
            await asyncio.sleep(0.15)
            writer.write(b"x\r\n")
            assert await reader.readline() == b"> x\r\n"
        writer.close()


async def test_client_that_stops_reading_costs_bounded_memory_and_is_cut() -> None:
    async with serve(write_timeout=0.5, write_high_water=64 * 1024) as served:
        _, writer = await served.connect(limit=1000)
        writer.write(b"BIG\r\n")
        await until(lambda: served.sessions[0]._write_paused)
        assert served.sessions[0]._backlog() < 400_000
        await until(lambda: served.sessions[0].seen == ["lost"])
        # The sender's task hears of it in the loop's next round.
        await until(lambda: isinstance(served.sessions[0].stuck, ConnectionResetError))
        writer.close()


async def test_client_that_reads_slowly_is_not_cut() -> None:
    async with serve(write_timeout=0.5, write_high_water=64 * 1024) as served:
        reader, writer = await served.connect(limit=1000)
        writer.write(b"BIG\r\n")
        for _ in range(10):
            await asyncio.sleep(0.15)
            await reader.readexactly(1_000_000)
        assert served.sessions[0].seen == []
        writer.close()


async def test_pause_leaves_input_in_the_kernel() -> None:
    async with serve() as served:
        reader, writer = await served.connect()
        await reader.readline()
        writer.write(b"PAUSE\r\n")
        await until(lambda: served.sessions[0]._paused)
        writer.write(b"x" * 3_000_000 + b"\r\n")
        await asyncio.sleep(0.2)
        assert len(served.sessions[0].buffer) <= len(served.services.scratch)
        served.sessions[0].resume()
        async with asyncio.timeout(5):
            assert len(await reader.readexactly(3_000_004)) == 3_000_004
        writer.close()


async def test_crash_of_one_session_is_its_own_and_its_text_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    async with serve() as served:
        one, two = await served.connect(), await served.connect()
        await two[0].readline()
        one[1].write(b"CRASH\r\n")
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(one[0].read(), 5)
        two[1].write(b"still here\r\n")
        assert await two[0].readline() == b"> still here\r\n"
        logged = capsys.readouterr().err
        assert "session.crashed" in logged
        assert "RuntimeError" in logged
        assert "secret words" not in logged
        two[1].close()


async def test_more_connections_than_an_address_may_have_are_refused_with_a_word() -> None:
    async with serve(max_connections_per_address=2) as served:
        kept = [await served.connect() for _ in range(2)]
        reader, _ = await served.connect()
        assert await asyncio.wait_for(reader.read(), 5) == b"* BYE too many\r\n"
        kept[0][1].close()
        await until(lambda: len(served.services.connections) == 1)
        again, writer = await served.connect()
        assert await again.readline() == b"* hello 0\r\n"
        writer.close()
        kept[1][1].close()


async def test_drain_asks_all_and_takes_no_more() -> None:
    async with serve() as served:
        reader, _ = await served.connect()
        await reader.readline()
        served.services.connections.drain()
        assert await reader.read() == b"* BYE draining\r\n"
        late, _ = await served.connect()
        assert await late.read() == b"* BYE too many\r\n"
