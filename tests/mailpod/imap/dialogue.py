"""A raw IMAP client and a pod's services over a bucket in memory: what the client sends, what the server answers."""

from __future__ import annotations

import asyncio
import base64
import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import argon2
from tests.mailpod.support import client_context

from mailpod.clock import SystemClock
from mailpod.config import BucketSettings, CertificateFiles, PodSettings
from mailpod.directory import LATER, DomainEntry, MailboxEntry, Publisher, new_signing_key, public_key
from mailpod.imap.server import ImapSession
from mailpod.pod import build_services
from mailpod.services import Services
from mailpod.store import Account
from mailpod.store.memory import MemoryObjects

PASSWORD = "secret"
_HASHER = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
_LITERAL = re.compile(rb"\{([0-9]+)\}\r\n\Z")


class Client:
    """One connection. `ask` sends a command and gives the lines of its answer, the tagged one last."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def line(self) -> bytes:
        """The next response, its literals included, without the last CRLF; b"" when the connection is closed."""
        async with asyncio.timeout(5):
            line = await self.reader.readline()
            while found := _LITERAL.search(line):
                line += await self.reader.readexactly(int(found[1])) + await self.reader.readline()
        return line.removesuffix(b"\r\n")

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until(self, tag: bytes) -> list[bytes]:
        """Responses up to the tagged one."""
        lines = [await self.line()]
        while not lines[-1].startswith(tag + b" "):
            assert lines[-1], f"closed after {lines}"
            lines.append(await self.line())
        return lines

    async def ask(self, command: bytes, tag: bytes = b"a") -> list[bytes]:
        await self.send(b"%b %b\r\n" % (tag, command))
        return await self.until(tag)

    async def ok(self, command: bytes) -> list[bytes]:
        """The untagged responses of a command that succeeds."""
        *untagged, tagged = await self.ask(command)
        assert tagged.startswith(b"a OK"), tagged
        return untagged

    async def refused(self, command: bytes) -> bytes:
        """The reply of a command that does not succeed."""
        tagged = (await self.ask(command))[-1]
        assert not tagged.startswith(b"a OK"), tagged
        return tagged

    async def start_tls(self) -> None:
        await self.writer.start_tls(client_context(), server_hostname="mail.example")

    async def closed(self) -> bool:
        return await self.line() == b""

    def close(self) -> None:
        self.writer.close()


@dataclass
class World:
    """A pod's services, its IMAP port, and what tests need of both."""

    services: Services
    server: asyncio.Server
    publisher: Publisher
    clients: list[Client]
    objects: MemoryObjects
    reads: tuple[str, ...] = LATER
    """What the domain's pods are said to read."""

    @property
    def port(self) -> int:
        return int(self.server.sockets[0].getsockname()[1])

    async def connect(self, *, greeting: bool = True) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, limit=2**20))
        self.clients.append(client)
        if greeting:
            assert (await client.line()).startswith(b"* OK [CAPABILITY IMAP4rev1 ")
        return client

    async def login(self, user: str = "ann", select: str = "") -> Client:
        client = await self.connect()
        await client.ok(b"LOGIN %b@example.org %b" % (user.encode(), PASSWORD.encode()))
        if select:
            await client.ok(b"SELECT %b" % select.encode())
        return client

    def sessions(self) -> list[ImapSession]:
        """The server's side of every connection."""
        return [session for session in self.services.connections._open if isinstance(session, ImapSession)]

    async def account(self, user: str = "ann") -> Account:
        """The account, as another session holds it."""
        entry = await self.services.directory.lookup(f"{user}@example.org")
        assert entry is not None
        return await self.services.store.open(await self.services.directory.account(entry))

    async def publish(self, *users: MailboxEntry) -> None:
        domain = DomainEntry(name="example.org", hostname="mx.example.org", max_message_bytes=10**7, reads=self.reads)
        await self.publisher.publish([domain, *users])


def user(local: str, password: str = PASSWORD, **fields: Any) -> MailboxEntry:
    return MailboxEntry(
        address=f"{local}@example.org",
        domain="example.org",
        local=local,
        verifiers=(_HASHER.hash(password),),
        **fields,
    )


async def make_world(files: CertificateFiles | None = None, **settings: Any) -> World:
    """A world with the users ann and bob."""
    key = new_signing_key()
    clock, rng, objects = SystemClock(), random.Random(1), MemoryObjects()
    chosen = PodSettings(
        bucket=BucketSettings(url="memory"),
        directory_keys=[base64.b64encode(public_key(key)).decode()],
        tls=[files] if files else [],
        **settings,
    )
    world = await _pod(chosen, objects, Publisher(objects, signing_key=key, clock=clock, rng=rng), rng)
    await world.publish(user("ann"), user("bob"))
    return world


async def other_pod(world: World) -> World:
    """Another pod over the same bucket, without hints between them."""
    return await _pod(world.services.settings, world.objects, world.publisher, random.Random(2))


async def _pod(settings: PodSettings, objects: MemoryObjects, publisher: Publisher, rng: random.Random) -> World:
    services = build_services(settings, objects, SystemClock(), rng)
    server = await asyncio.get_running_loop().create_server(lambda: ImapSession(services), "127.0.0.1", 0)
    return World(services, server, publisher, [], objects)


MakeWorld = Callable[..., Awaitable[World]]


async def end_world(world: World) -> None:
    for client in world.clients:
        client.close()
    world.services.connections.abort()
    world.server.close()
    await asyncio.sleep(0)
    await world.services.store.close()
    world.services.auth.close()


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait, 5 s at most, for what happens without an answer."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")
