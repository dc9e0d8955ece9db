"""A bucket with some of everything, and ways to damage it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.mailpod.store.faults import FakeClock, mail

from mailpod.errors import MailError
from mailpod.store import Account, AccountRef, NewMessage, Store, StoreSettings
from mailpod.store.check import CheckOptions, Finding, check_bucket
from mailpod.store.entries import DomainEntry, MailboxEntry, public_key
from mailpod.store.memory import MemoryObjects
from mailpod.store.objects import ObjectStore
from mailpod.store.outbound import Outbound, SpoolEntry
from mailpod.store.publisher import Publisher

SETTINGS = StoreSettings(
    checkpoint_interval=0.0,
    checkpoint_commits=1 << 30,  # the tests say when
    checkpoint_header_bytes=1 << 40,
    page_messages=4,
    state_page_messages=8,
    overlay_entries=2,
    copy_inline_messages=3,
    inline_message_bytes=2000,
    pack_newest=2,
)
KEY = bytes(range(32))


@dataclass(slots=True)
class Planted:
    """`alice@x.test` has mail in INBOX (UIDs 1 to 12, 12 in a pack) and copies in Archive; `bob@x.test` has one."""

    objects: ObjectStore
    clock: FakeClock
    alice: AccountRef
    bob: AccountRef
    publisher: Publisher
    numbers: int = 0

    @property
    def key(self) -> bytes:
        return public_key(KEY)

    def store(self) -> Store:
        self.numbers += 1
        return Store(
            self.objects,
            settings=SETTINGS,
            clock=self.clock,
            rng=random.Random(self.numbers),
            pod=f"pod-{self.numbers}",
        )

    async def keys(self, part: str = "") -> list[str]:
        """Alice's objects of a kind: `log/`, `checkpoint/`, `page/`, `pack/`."""
        return [entry.key for entry in await self.objects.list(f"{self.alice.prefix}{part}")]

    async def change(self, key: str, edit: Callable[[bytes], bytes]) -> None:
        """What no pod does: other bytes under the same name."""
        await self.objects.put(key, [edit(await self.objects.get(key))])

    async def flip(self, key: str, at: int) -> None:
        """One bit of it."""
        await self.change(key, lambda data: flipped(data, at))

    async def checkpoint(self, ref: AccountRef | None = None) -> Account:
        store = self.store()
        account = await store.open(ref or self.alice)
        assert await store.checkpoint(account)
        return account


def flipped(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def entries() -> list[DomainEntry | MailboxEntry]:
    return [
        DomainEntry(name="x.test", hostname="mx.x.test", max_message_bytes=1 << 20, owner="domain"),
        MailboxEntry(address="alice@x.test", domain="x.test", local="alice", owner="a"),
        MailboxEntry(address="bob@x.test", domain="x.test", local="bob", owner="b"),
    ]


async def plant(objects: ObjectStore | None = None) -> Planted:
    """Two mailboxes with mail, no checkpoint yet."""
    bucket = objects if objects is not None else MemoryObjects(FakeClock())
    clock = FakeClock()
    publisher = Publisher(bucket, signing_key=KEY, clock=clock, rng=random.Random(7))
    made = entries()
    await publisher.publish(made)
    refs = [publisher.account(entry) for entry in made[1:] if isinstance(entry, MailboxEntry)]
    alice, bob = [ref for ref in refs if ref is not None]
    planted = Planted(bucket, clock, alice, bob, publisher)
    store = planted.store()
    account = await store.open(alice)
    for number in range(1, 11):
        await account.append("INBOX", [NewMessage(mail(number), delivery_id=f"d{number}")])
    await account.append("INBOX", [NewMessage(mail(11))])
    await account.append("INBOX", [NewMessage(mail(12, 5000))])
    inbox = account.mailbox("INBOX")
    await account.copy(inbox, [1, 2, 3, 4, 5], "Archive")
    await account.store_flags(inbox, [1, 2, 3], "add", ["\\Seen"])
    other = await store.open(bob)
    await other.append("INBOX", [NewMessage(mail(1))])
    return planted


async def queue(planted: Planted, identifier: str = "") -> str:
    planted.numbers += 1
    spool = Outbound(planted.objects, clock=planted.clock, rng=random.Random(planted.numbers))
    name = identifier or spool.new_id()
    await spool.create(SpoolEntry(name, "a@y.test", ("alice@x.test",), planted.clock.now()), mail(50))
    return name


async def check(planted: Planted, **options: object) -> list[Finding]:
    chosen = CheckOptions(public_keys=[planted.key], **options)  # type: ignore[arg-type]
    return (await check_bucket(planted.objects, chosen, root=planted.objects)).findings.items


async def damage(planted: Planted, **options: object) -> list[Finding]:
    return [item for item in await check(planted, **options) if item.severity == "damage"]


async def readable(planted: Planted) -> dict[int, bytes]:
    """What a new pod can read of Alice's INBOX, message by message."""
    account = await planted.store().open(planted.alice)
    box = account.mailbox("INBOX")
    out = {}
    for uid in list(box.uids):
        try:
            async for page, rows in box.pages([uid]):
                for row in rows:
                    out[uid] = await account.body(page.location(row))
        except MailError:
            continue
    return out


WHOLE = {uid: mail(uid, 5000 if uid == 12 else 0) for uid in range(1, 13)}
