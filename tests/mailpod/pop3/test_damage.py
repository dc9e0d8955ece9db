"""What is damaged in storage costs its own messages: the others of the maildrop are given (STORE.md rule 16)."""

from __future__ import annotations

import random

from tests.mailpod.pop3.dialogue import World

from mailpod.clock import SystemClock
from mailpod.store import NewMessage, Store, StoreSettings
from mailpod.store.checkpoint import decode_root


async def test_a_damaged_page_and_a_damaged_message(world: World) -> None:
    services = world.pod.services
    entry = await services.directory.lookup("ann@example.org")
    assert entry is not None
    ref, objects = await services.directory.account(entry), services.store.objects
    other = Store(objects, settings=StoreSettings(page_messages=2), clock=SystemClock(), rng=random.Random(77))
    account = await other.open(ref)
    for number in range(1, 7):
        await account.append("INBOX", [NewMessage(b"Subject: %d\r\n\r\ntext %d\r\n" % (number, number))])
    assert await other.checkpoint(account)
    (checkpoint,) = await objects.list(f"{ref.prefix}checkpoint/")
    page = decode_root(await objects.get(checkpoint.key)).boxes[0].pages[1]
    for key in (f"{ref.prefix}page/{page.id}", (await objects.list(f"{ref.prefix}log/"))[6].key):
        data = await objects.get(key)
        await objects.put(key, [data[:-4] + bytes([data[-4] ^ 1]) + data[-3:]])
    client = await world.login()
    assert (await client.multi(b"UIDL")).count(b"\r\n") == 6
    for number in range(1, 7):
        if number in (3, 4, 6):  # the page of 3 and 4, the bytes of 6
            assert (await client.refused(b"RETR %d" % number)).startswith(b"[SYS/PERM] ")
        else:
            assert b"text %d\r\n" % number in await client.multi(b"RETR %d" % number)
    await client.ok(b"QUIT")
