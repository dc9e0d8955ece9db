"""Pods over one bucket, their clocks, and Mailboxes with retention."""

from __future__ import annotations

import base64
import random
from typing import Any

from tests.mailpod.store.faults import FakeClock, Faulty, mail

from mailpod.config import BucketSettings, PodSettings
from mailpod.directory import DomainEntry, MailboxEntry, Publisher, public_key
from mailpod.pod import build_services
from mailpod.services import Services
from mailpod.store import Account, NewMessage
from mailpod.store.memory import MemoryObjects

DAY = 86400.0
NOON = 1764072000.0  # 2025-11-25, 12:00 UTC
_KEY = b"s" * 32


class World:
    """`time` is the bucket's clock, and each pod's that has none of its own."""

    def __init__(self) -> None:
        self.time = FakeClock(NOON)
        self.bucket = MemoryObjects(self.time)
        self._publisher = Publisher(self.bucket, signing_key=_KEY, clock=self.time, rng=random.Random(0))
        self._pods = 0

    async def publish(self, **retention: dict[str, int] | None) -> None:
        """Mailboxes by local part, each with its retention; those of None are suspended."""
        domain = DomainEntry(name="x.test", hostname="mx.x.test", max_message_bytes=2**20)
        await self._publisher.publish([domain, *(mailbox(name, folders) for name, folders in retention.items())])

    def pod(self, *, clock: FakeClock | None = None, faulty: bool = False, **settings: Any) -> Services:
        self._pods += 1
        chosen = PodSettings(
            bucket=BucketSettings(url="memory"),
            directory_keys=[base64.b64encode(public_key(_KEY)).decode()],
            retention=settings,
        )
        objects = Faulty(self.bucket) if faulty else self.bucket
        return build_services(chosen, objects, clock or self.time, random.Random(self._pods))


def mailbox(name: str, folders: dict[str, int] | None) -> MailboxEntry:
    return MailboxEntry(
        address=f"{name}@x.test",
        domain="x.test",
        local=name,
        retention={"Trash": 30} if folders is None else folders,
        suspended=folders is None,
    )


async def account(pod: Services, name: str = "alice") -> Account:
    """The account as it is now."""
    entry = await pod.directory.lookup(f"{name}@x.test")
    assert entry is not None
    found = await pod.store.open(await pod.directory.account(entry))
    await found.refresh()
    return found


async def fill(pod: Services, count: int, folder: str = "Trash", name: str = "alice") -> None:
    """Messages that come into a folder now."""
    await (await account(pod, name)).append(folder, [NewMessage(mail(n), internal_date=0) for n in range(count)])


async def uids(pod: Services, folder: str = "Trash", name: str = "alice") -> list[int]:
    return list((await account(pod, name)).mailbox(folder).uids)
