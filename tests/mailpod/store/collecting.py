"""An account in small commits, packs and pages, as tests of packing and collection have it."""

from __future__ import annotations

from mailpod.store import Account, NewMessage, Store

from .faults import World, mail, make_world

SMALL = {
    "page_messages": 8,
    "state_page_messages": 16,
    "overlay_entries": 4,
    "copy_inline_messages": 3,
    "checkpoint_commits": 1 << 20,  # by hand
    "checkpoint_header_bytes": 1 << 40,
    "inline_message_bytes": 3000,
    "pack_objects": 4,
    "pack_newest": 2,
    "pack_bytes": 4000,
    "pack_messages": 30,
    "pack_moves": 3,
    "pack_small_packs": 4,
    "body_cache_bytes": 0,
    "page_cache_bytes": 0,
}


async def keys(world: World, kind: str) -> list[str]:
    prefix = f"{world.ref.prefix}{kind}/"
    return [entry.key[len(prefix) :] for entry in await world.objects.list(prefix)]


async def texts(account: Account, name: str = "INBOX") -> list[bytes]:
    box = account.mailbox(name)
    return [await account.body(page.location(row)) async for page, rows in box.pages(box.uids) for row in rows]


async def filled(count: int, **settings: float) -> tuple[World, Store, Account]:
    """`count` messages, each in a commit of its own."""
    world = await make_world(**(SMALL | settings))
    store = world.pod()
    account = await store.open(world.ref)
    for number in range(count):
        await account.append("INBOX", [NewMessage(mail(number))])
    return world, store, account


async def aged(world: World, store: Store, account: Account, checkpoints: int = 1) -> None:
    """Checkpoints, each after a commit, and after them time."""
    for _ in range(checkpoints):
        await account.subscribe(str(account.head))
        assert await store.checkpoint(account)
    world.clock.time += world.settings.grace + 1


async def check_homes(account: Account) -> None:
    """Pages say the same as the state, by which collection goes."""
    for box in account.mailboxes.values():
        async for page, rows in box.pages(box.uids):
            for row in rows:
                home = box.homes[box.index(page.uids[row])]
                assert page.key(row) == account.log.state.homes.key(home), (box.name, page.uids[row])
