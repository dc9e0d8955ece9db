"""Sessions with a mailbox selected, over a real store in memory: what FETCH, STORE and the like answer, as dialogue.

The parser, the views, the handlers and the store are the real ones; of the connection there is only what they write.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from mailpod.clock import SystemClock
from mailpod.config import ImapSettings
from mailpod.errors import MailError
from mailpod.imap.commands import append, copy, expunge, fetch, move, replace, search, sort, store, thread
from mailpod.imap.enabled import Enabled
from mailpod.imap.lexer import Frame
from mailpod.imap.parser import parse
from mailpod.imap.progress import Progress
from mailpod.imap.reply import Done, accepted
from mailpod.imap.view import View
from mailpod.net.budget import Budget
from mailpod.store import Account, AccountRef, NewMessage, Store, StoreSettings, new_account
from mailpod.store.bodies import Bodies
from mailpod.store.memory import MemoryObjects


async def noop(session: Client, _args: object) -> None:
    """As the real one in a selected mailbox."""
    await session.account.refresh()


HANDLERS: dict[str, Callable[[Any, Any], Any]] = {
    "FETCH": fetch.run,
    "STORE": store.run,
    "SEARCH": search.run,
    "SORT": sort.run,
    "THREAD": thread.run,
    "COPY": copy.run,
    "MOVE": move.run,
    "REPLACE": replace.run,
    "EXPUNGE": expunge.run,
    "APPEND": append.run,
    "NOOP": noop,
}

HOLD_BACK = ("FETCH", "STORE", "SEARCH", "SORT", "THREAD")  # RFC 3501 §7.4.1, RFC 5256 §3


class Untaught:
    """A teacher with nobody to teach. `lessons` are mailboxes, UIDs and whether it is spam."""

    def __init__(self) -> None:
        self.lessons: list[tuple[str, list[int], bool]] = []

    def learn(self, _account: AccountRef, mailbox: str, uids: Any, *, spam: bool) -> None:
        self.lessons.append((mailbox, list(uids), spam))


class Client:
    """One client with one mailbox selected."""

    def __init__(
        self,
        account: Account,
        mailbox: str = "INBOX",
        *,
        read_only: bool = False,
        enabled: Enabled | None = None,
        **quota: int,
    ) -> None:
        self.account = account
        self.enabled = enabled or Enabled()
        self.view = View(account, account.mailbox(mailbox), read_only, self.enabled)
        entry = SimpleNamespace(quota_bytes=quota.get("bytes"), quota_messages=quota.get("messages"))
        self.identity = SimpleNamespace(entry=entry)
        self.services = SimpleNamespace(
            budget=Budget(quota.get("budget", 1 << 20)),
            clock=SystemClock(),
            settings=SimpleNamespace(imap=ImapSettings()),
            teacher=Untaught(),
            quota=SimpleNamespace(grown=lambda account, entry: None),
        )
        self.tag = b"a"
        self.progress = Progress(b"a", 0.0, float("inf"))
        self.notified = None
        self.read_only = read_only
        self.out: list[bytes] = []
        self.writes = 0
        self.drains = 0
        self.gone = False

    def send(self, data: Any) -> None:
        self.writes += 1
        self.out.extend([data] if isinstance(data, bytes) else data)

    async def drained(self) -> None:
        self.drains += 1
        if self.gone:
            raise ConnectionResetError("connection lost")

    async def say(self, line: str, literal: bytes | None = None) -> bytes:
        """Everything the server answers to a command, the tag left out of the last line."""
        segments = [f"a {line}".encode()] if literal is None else [f"a {line} ".encode(), b""]
        self.out = []
        status = await self._run(Frame(segments, [] if literal is None else [literal]))
        return b"".join(self.out) + status + b"\r\n"

    async def _run(self, frame: Frame) -> bytes:
        name = ""
        try:
            command = parse(frame)
            name = command.name
            handler = HANDLERS.get(name.removeprefix("UID "))
            done = await handler(self, command.args) if handler else None
            status = _status(done, name)
        except MailError as error:
            condition, code = error.imap
            status = f"{condition} {f'[{code}] ' if code else ''}{error.text}".encode()
        assert self.services.budget.used == 0, "what was taken was given back"
        self.send(self.view.poll(name not in HOLD_BACK))  # as server.py does before the tagged line
        return status


def _status(done: Done | None, name: str) -> bytes:
    return accepted(b"a", name, done or Done()).removeprefix(b"a ").removesuffix(b"\r\n")


@dataclass(slots=True)
class Desk:
    """An account and the clients at it."""

    objects: MemoryObjects
    store: Store
    ref: AccountRef
    account: Account

    def select(
        self, mailbox: str = "INBOX", *, read_only: bool = False, enabled: Enabled | None = None, **quota: int
    ) -> Client:
        return Client(self.account, mailbox, read_only=read_only, enabled=enabled, **quota)

    async def other_pod(self) -> Desk:
        """The same account on another pod, whose changes are seen at the next look."""
        pod = Store(self.objects, settings=self.store.settings, clock=SystemClock(), rng=random.Random(3))
        return Desk(self.objects, pod, self.ref, await pod.open(self.ref))

    async def close(self) -> None:
        self.account.release()
        await self.store.close()

    async def deliver(self, *messages: bytes, flags: tuple[str, ...] = (), date: int | None = 0) -> list[int]:
        """Their UIDs in INBOX."""
        new = [NewMessage(data, frozenset(flags), date) for data in messages]
        return (await self.account.append("INBOX", new)).uids

    def objects_with(self, text: bytes) -> list[str]:
        """Keys of the objects that hold `text`; what the pod read of them it forgets."""
        self.forget_bodies()
        return [key for key, (data, _) in self.objects._objects.items() if text in data]

    def forget_bodies(self) -> None:
        self.store.bodies = Bodies(self.objects, self.store.settings)

    def flags(self, uid: int, mailbox: str = "INBOX") -> set[str]:
        box = self.account.mailbox(mailbox)
        return set(box.flag_sets[box.flags[box.index(uid)]])


@asynccontextmanager
async def desk(**settings: Any) -> AsyncIterator[Desk]:
    objects = MemoryObjects()
    ref = await new_account(objects, "example.org", "ann", rng=random.Random(1))
    pod = Store(objects, settings=StoreSettings(**settings), clock=SystemClock(), rng=random.Random(2))
    account = await pod.open(ref)
    found = Desk(objects, pod, ref, account)
    yield found
    await found.close()


def keywords(*words: str) -> bytes:
    """What a client is told once these keywords are in use (RFC 3501 §7.2.6, §7.1)."""
    flags = " ".join(("\\Answered \\Deleted \\Draft \\Flagged \\Seen", *words))
    return f"* FLAGS ({flags})\r\n* OK [PERMANENTFLAGS ({flags} \\*)] Keywords may be added\r\n".encode()


def letter(subject: str = "Hello", body: str = "Hi there\r\n", **fields: str) -> bytes:
    """A small message; `x_note="a"` is a field X-Note."""
    header = {"Subject": subject, "From": "Ann <ann@example.org>", "Date": "Mon, 7 Feb 1994 21:52:25 -0800 (PST)"}
    header |= {name.replace("_", "-").title(): value for name, value in fields.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in header.items())
    return f"{lines}\r\n{body}".encode()
