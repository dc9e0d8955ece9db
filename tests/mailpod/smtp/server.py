"""A pod's SMTP ports over a bucket in memory, and a client that talks to them line by line."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec
from argon2 import PasswordHasher
from tests.mailpod.support import client_context

from mailpod.auth.authenticator import Authenticator
from mailpod.clock import SystemClock
from mailpod.config import BucketSettings, PodSettings
from mailpod.directory import AliasEntry, Directory, DomainEntry, Entry, MailboxEntry
from mailpod.net.budget import Budget
from mailpod.net.limits import Connections
from mailpod.net.registry import Registry
from mailpod.net.tls import TlsContexts
from mailpod.services import Services
from mailpod.smtp.lmtp import make_lmtp
from mailpod.smtp.server import make_smtp
from mailpod.store import Store
from mailpod.store.entries import public_key
from mailpod.store.memory import MemoryObjects
from mailpod.store.objects import Buffer, ObjectStore, StorageError
from mailpod.store.publisher import Publisher

PASSWORD = "open sesame"
VERIFIER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
_SIGNING_KEY = b"s" * 32


class Bucket(MemoryObjects):
    """A bucket that is down when told."""

    down = False

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        if self.down:
            raise StorageError("down")
        await super().create(key, data)

    async def get(self, key: str) -> bytes:
        if self.down:
            raise StorageError("down")
        return await super().get(key)


def mailbox(address: str, **fields: Any) -> MailboxEntry:
    local, _, domain = address.rpartition("@")
    entry = MailboxEntry(address=address, domain=domain, local=local, verifiers=(VERIFIER,))
    return msgspec.structs.replace(entry, **fields)


def alias(address: str, *targets: str) -> AliasEntry:
    local, _, domain = address.rpartition("@")
    return AliasEntry(address=address, domain=domain, local=local, targets=targets)


def domain(name: str, **fields: Any) -> DomainEntry:
    entry = DomainEntry(name=name, hostname=f"mail.{name}", max_message_bytes=2**26, postmaster=f"alice@{name}")
    return msgspec.structs.replace(entry, **fields)


def plain(user: str, password: str) -> str:
    """AUTH PLAIN's one response."""
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode()


ENTRIES: Sequence[Entry] = (
    domain("example.com"),
    mailbox("alice@example.com"),
    mailbox("bob@example.com"),
    mailbox("carol@example.com"),
    mailbox("sleepy@example.com", suspended=True),
    mailbox("full@example.com", quota_bytes=2000),
    mailbox("ärger@example.com"),
    alias("info@example.com", "alice@example.com"),
    alias("team@example.com", "alice@example.com", "bob@example.com"),
    mailbox("away@example.com", forward_to=("bob@example.com",)),
    mailbox("gone@example.com", forward_to=("bob@example.com", "info@example.com"), keep_copy=False),
    mailbox("round@example.com", forward_to=("about@example.com",), keep_copy=False),
    mailbox("about@example.com", forward_to=("round@example.com",), keep_copy=False),
    mailbox("out@example.com", forward_to=("me@far.example",), keep_copy=False),
    mailbox("chain@example.com", forward_to=("gone@example.com",), keep_copy=False),
    domain(
        "all.example",
        catch_all="erin@all.example",
        trusted_sealers=("example.com",),
        groups={"staff": ("erin@all.example", "e@all.example", "x@all.example")},
    ),
    mailbox("erin@all.example"),
    mailbox("frank@all.example"),
    alias("e@all.example", "frank@all.example"),
    domain("alias.example"),
    alias("alice@alias.example", "alice@example.com"),
    domain("small.example", max_message_bytes=1000, postmaster=None, sender_policies="report"),
    mailbox("dave@small.example"),
)


async def make_services(bucket: ObjectStore, tls: TlsContexts | None = None, **settings: Any) -> Services:
    """A pod's parts. `settings` are PodSettings' fields.

    Randomness is real: two pods with one seed would make the same commit ids, and take each other's commits for theirs.
    """
    clock = SystemClock()
    await Publisher(bucket, signing_key=_SIGNING_KEY, clock=clock, rng=random.SystemRandom()).publish(ENTRIES)
    chosen = PodSettings(bucket=BucketSettings(url="memory"), hostname="mx.example.com", **settings)
    directory = Directory(bucket, public_keys=[public_key(_SIGNING_KEY)], clock=clock, ttl=0)
    return Services(
        settings=chosen,
        store=Store(bucket, settings=chosen.store, clock=clock, rng=random.SystemRandom()),
        directory=directory,
        auth=Authenticator(directory, chosen, clock),
        budget=Budget(chosen.message_budget_bytes),
        registry=Registry(directory),
        connections=Connections(
            clock, total=chosen.max_connections, per_address=chosen.max_connections_per_address, tick=0.05
        ),
        tls=tls or TlsContexts([]),
        clock=clock,
        pod_name="test",
    )


class Client:
    """One connection, seen from outside."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def reply(self) -> str:
        """The next reply; several lines are joined by a newline, without their code but in the first."""
        lines: list[str] = []
        while True:
            raw = await asyncio.wait_for(self.reader.readline(), 10)
            if not raw:
                return "\n".join(lines) if lines else "closed"
            assert raw.endswith(b"\r\n"), raw
            line = raw[:-2].decode("ascii")
            lines.append(line if not lines else line[4:])
            if line[3:4] != "-":
                return "\n".join(lines)

    async def say(self, line: str | bytes) -> str:
        """Send one line and read its reply."""
        self.send((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return await self.reply()

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def closed(self) -> bool:
        try:
            return not await asyncio.wait_for(self.reader.read(), 10)
        except ConnectionError:  # it was cut while we still sent
            return True

    async def hello(self) -> str:
        await self.reply()
        return await self.say("EHLO client.example")

    async def message(self, content: bytes, *recipients: str, sender: str = "sender@far.example") -> str:
        """A whole transaction; the reply to its end, or the first refusal. `content` is sent as it stands."""
        for line in (f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{recipient}>" for recipient in recipients), "DATA"):
            reply = await self.say(line)
            if reply[0] not in "23":
                return reply
        self.send(content + b".\r\n")
        return await self.reply()

    async def start_tls(self) -> None:
        assert (await self.say("STARTTLS")).startswith("220")
        await self.writer.start_tls(client_context())


class Server:
    """A listening port and what is behind it."""

    def __init__(self, services: Services, bucket: Bucket, port: int) -> None:
        self.services = services
        self.bucket = bucket
        self.port = port

    @asynccontextmanager
    async def client(self, *, tls: bool = False) -> AsyncIterator[Client]:
        context = client_context() if tls else None
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        try:
            yield Client(reader, writer)
        finally:
            writer.close()

    async def inbox(self, address: str) -> list[bytes]:
        """The messages in a mailbox's INBOX, whole."""
        entry = await self.services.directory.lookup(address)
        assert entry is not None
        account = await self.services.store.open(await self.services.directory.account(entry))
        try:
            await account.refresh()
            inbox = account.mailbox("INBOX")
            found = []
            async for page, rows in inbox.pages(list(inbox.uids)):
                found += [await account.body(page.location(row)) for row in rows]
            return found
        finally:
            account.release()


@asynccontextmanager
async def serving(
    role: Literal["mx", "submission", "lmtp"] = "mx",
    *,
    implicit_tls: bool = False,
    tls: TlsContexts | None = None,
    **settings: Any,
) -> AsyncIterator[Server]:
    """A server on a free port of 127.0.0.1."""
    bucket = Bucket()
    services = await make_services(bucket, tls, **settings)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(
        lambda: (
            make_lmtp(services, implicit_tls=implicit_tls)
            if role == "lmtp"
            else make_smtp(services, role=role, implicit_tls=implicit_tls)
        ),
        "127.0.0.1",
        0,
        ssl=services.tls.context() if implicit_tls else None,
    )
    try:
        yield Server(services, bucket, listener.sockets[0].getsockname()[1])
    finally:
        listener.close()
        services.connections.abort()
        await services.spool.stop()
        services.auth.close()
        await services.store.close()
