"""Pages are read ahead of whoever reads a mailbox from a bucket that is far away; what is given is the same."""

from __future__ import annotations

import asyncio

from tests.mailpod.store.faults import mail, make_world

from mailpod.store import Account, NewMessage, Store
from mailpod.store.memory import MemoryObjects
from mailpod.store.objects import NotFound

PAGES, AHEAD = 12, 4


class Far(MemoryObjects):
    """Counts the pages that are read at one time."""

    read_ahead = 16

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = self.read = 0
        self.lost = ""

    async def get(self, key: str) -> bytes:
        if "/page/" not in key:
            return await super().get(key)
        self.now, self.read = self.now + 1, self.read + 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0.001)
            if key == self.lost:
                raise NotFound(key)
            return await super().get(key)
        finally:
            self.now -= 1


async def filled(objects: Far) -> tuple[Store, Account]:
    """A mailbox of a dozen pages of two messages, at a pod that has none of them in memory."""
    world = await make_world(objects, page_messages=2, checkpoint_commits=1, pages_ahead=AHEAD)
    account = await world.pod().open(world.ref)
    for _ in range(PAGES):
        await account.append("INBOX", [NewMessage(mail()), NewMessage(mail())])
    await world.pod().checkpoint(account)
    store = world.pod()
    reader = await store.open(world.ref)
    objects.most = objects.read = 0
    return store, reader


async def test_some_are_read_at_once_and_each_once() -> None:
    objects = Far()
    _, reader = await filled(objects)
    box = reader.mailbox("INBOX")
    found = [page.uids[row] async for page, rows in box.pages(box.uids) for row in rows]
    assert found == list(box.uids)
    assert objects.most == AHEAD + 1
    assert objects.read == len(box.segments)


async def test_only_what_is_wanted_is_read() -> None:
    objects = Far()
    _, reader = await filled(objects)
    box = reader.mailbox("INBOX")
    wanted = [box.uids[0], box.uids[4], box.uids[-1]]
    assert [page.uids[row] async for page, rows in box.pages(wanted) for row in rows] == wanted
    assert objects.read <= len(wanted)


async def test_a_page_that_is_not_there_is_found_again_all_the_same() -> None:
    objects = Far()
    _, reader = await filled(objects)
    box = reader.mailbox("INBOX")
    segment = box.segments[3]
    assert segment.ref is not None
    objects.lost = f"{reader.prefix}page/{segment.ref.id}"
    found = [page.uids[row] async for page, rows in box.pages(box.uids) for row in rows]
    assert found == list(box.uids)  # by the commits: STORE.md rule 13


async def test_nothing_is_read_after_the_end() -> None:
    objects = Far()
    store, reader = await filled(objects)
    box = reader.mailbox("INBOX")
    async for _ in box.pages(box.uids):
        break
    assert objects.now
    await store.close()
    assert not objects.now
