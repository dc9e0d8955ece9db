"""A pod with POP3 over a bucket in memory, and a client that talks lines to it."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import argon2
from tests.mailpod.support import client_context

from mailpod.clock import SystemClock
from mailpod.config import BucketSettings, CertificateFiles, ListenerSettings, PodSettings
from mailpod.directory import DomainEntry, MailboxEntry
from mailpod.pod import Pod
from mailpod.store import Account, NewMessage
from mailpod.store.entries import new_signing_key, public_key
from mailpod.store.memory import MemoryObjects
from mailpod.store.objects import ObjectStore
from mailpod.store.publisher import Publisher

PASSWORD = "correct horse"
HASHER = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)


class Client:
    """One connection, seen from outside."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def line(self) -> bytes:
        """The next line without its CRLF; empty at the end of the connection."""
        line = await asyncio.wait_for(self.reader.readline(), 10)
        assert not line or line.endswith(b"\r\n"), line
        return line[:-2]

    async def ask(self, command: bytes) -> bytes:
        self.send(command + b"\r\n")
        return await self.line()

    async def ok(self, command: bytes) -> bytes:
        answer = await self.ask(command)
        assert answer.startswith(b"+OK"), answer
        return answer[4:]

    async def refused(self, command: bytes) -> bytes:
        answer = await self.ask(command)
        assert answer.startswith(b"-ERR "), answer
        return answer[5:]

    async def multi(self, command: bytes) -> bytes:
        """The lines of a multi-line answer, with their dots removed, the last one left out."""
        await self.ok(command)
        return await self.rest()

    async def rest(self) -> bytes:
        data = b""
        while data != b".\r\n" and not data.endswith(b"\r\n.\r\n"):
            data += await asyncio.wait_for(self.reader.readuntil(b".\r\n"), 10)
        data = data[:-3]
        return data.replace(b"\r\n..", b"\r\n.")[1 if data.startswith(b"..") else 0 :]

    async def closed(self) -> bool:
        return await asyncio.wait_for(self.reader.read(), 10) == b""

    async def start_tls(self) -> None:
        await self.writer.start_tls(client_context(), server_hostname="mail.example")


@dataclass
class World:
    """The pod, and what tests need of it."""

    pod: Pod
    publisher: Publisher
    clients: list[Client] = field(default_factory=list)

    async def connect(self, *, implicit: bool = False, greeting: bool = True) -> Client:
        port = [port for name, port in self.pod.ports.items() if name.startswith("pop3")][implicit]
        tls: dict[str, Any] = {"ssl": client_context(), "server_hostname": "mail.example"} if implicit else {}
        client = Client(*await asyncio.open_connection("127.0.0.1", port, limit=2**24, **tls))
        self.clients.append(client)
        if greeting:
            assert (await client.line()).startswith(b"+OK")
        return client

    async def login(self, user: str = "ann") -> Client:
        client = await self.connect()
        await client.ok(f"USER {user}@example.org".encode())
        await client.ok(f"PASS {PASSWORD}".encode())
        return client

    async def account(self, user: str = "ann") -> Account:
        """The account, as another session holds it."""
        services = self.pod.services
        entry = await services.directory.lookup(f"{user}@example.org")
        assert entry is not None
        return await services.store.open(await services.directory.account(entry))

    async def fill(self, messages: Sequence[bytes], user: str = "ann") -> None:
        account = await self.account(user)
        for message in messages:
            await account.append("INBOX", [NewMessage(message)])
        account.release()

    async def publish(self, *users: MailboxEntry) -> None:
        domain = DomainEntry(name="example.org", hostname="mx.example.org", max_message_bytes=10**7)
        await self.publisher.publish([domain, *users])

    async def end(self) -> None:
        for client in self.clients:
            client.writer.close()
        await self.pod.drain()


def user(local: str, password: str = PASSWORD, **fields: Any) -> MailboxEntry:
    address = f"{local}@example.org"
    return MailboxEntry(
        address=address, domain="example.org", local=local, verifiers=(HASHER.hash(password),), **fields
    )


async def make_world(files: CertificateFiles | None = None, objects: ObjectStore | None = None, **more: Any) -> World:
    """A world with the users ann and bob. With a certificate: a second port, with implicit TLS."""
    key, clock, rng = new_signing_key(), SystemClock(), random.Random(1)
    objects = objects or MemoryObjects()
    listeners = [ListenerSettings(protocol="pop3", host="127.0.0.1", port=0)]
    if files:
        listeners.append(ListenerSettings(protocol="pop3", host="localhost", port=0, tls="implicit"))
    settings = PodSettings(
        bucket=BucketSettings(url="memory:"),
        directory_keys=[base64.b64encode(public_key(key)).decode()],
        listeners=listeners,
        tls=[files] if files else [],
        **({"drain_seconds": 2} | more),
    )
    world = World(
        Pod(settings, objects, clock=clock, rng=rng), Publisher(objects, signing_key=key, clock=clock, rng=rng)
    )
    await world.publish(user("ann"), user("bob"))
    await world.pod.start()
    return world
