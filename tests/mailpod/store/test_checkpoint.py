"""Checkpoints, pages and tables: whatever way an account is opened, it is the same account."""

from __future__ import annotations

import random

import pytest

from mailpod.errors import MailError
from mailpod.store import Account, NewMessage, Store, Who, planning
from mailpod.store.log import Log
from mailpod.store.names import checkpoint_key
from mailpod.store.state import State

from .faults import Faulty, World, mail, make_world

SMALL = {
    "page_messages": 8,
    "state_page_messages": 16,
    "overlay_entries": 4,
    "copy_inline_messages": 3,
    "checkpoint_commits": 5,
}


async def _replay(world: World) -> State:
    """The state by the log alone."""
    log = Log(
        _WithoutCheckpoints(world.objects),  # type: ignore[arg-type]
        world.ref.prefix,
        settings=world.settings,
        clock=world.clock,
        rng=random.Random(0),
        pod="replay",
        attach=lambda box: None,
    )
    await log.open()
    return log.state


class _WithoutCheckpoints:
    def __init__(self, inner: object) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def list(self, prefix: str, **_: object) -> list[object]:
        return []


async def _metadata(account: Account) -> dict[str, list[tuple[int, bytes, bytes, int]]]:
    out = {}
    for name, box in account.mailboxes.items():
        rows = []
        async for page, wanted in box.pages(box.uids):
            for row in wanted:
                rows.append((page.uids[row], page.envelopes[row], page.email_ids[row], page.saved[row]))
                assert await account.body(page.location(row))
        assert [row[0] for row in rows] == list(box.uids)
        out[name] = rows
    return out


async def _step(rng: random.Random, account: Account, number: int) -> None:
    name = rng.choice(list(account.mailboxes))
    box = account.mailbox(name)
    some = sorted(rng.sample(list(box.uids), min(len(box.uids), rng.choice([1, 2, 12]))))
    flags = rng.sample(["\\Seen", "\\Deleted", "a", "b", "C"], 2)
    match rng.randrange(10):
        case 0 | 1 | 2:
            count = rng.choice([1, 1, 2, 20])
            fresh = [NewMessage(mail(number * 100 + n), frozenset(flags[:1])) for n in range(count)]
            await account.append(name, fresh)
        case 3:
            await account.store_flags(box, some, rng.choice(["add", "remove", "set"]), flags)
        case 4:
            await account.expunge(box, some)
        case 5:
            await account.copy(box, some, rng.choice(list(account.mailboxes)))
        case 6:
            await account.move(box, some, rng.choice(list(account.mailboxes)))
        case 7:
            await account.create(f"box{number}")
            await account.append(name, [NewMessage(mail(number), delivery_id=str(number))])
        case 8:
            who = Who(rng.choice(["bob@x.test", "eve@x.test"]), rng.choice(["1", "2"]))
            await account.grant(name, who, lambda before: rng.choice(["", "lr", before + "s"]))
        case 9 if name.startswith("box"):
            await (account.delete(name) if rng.random() < 0.3 else account.rename(name, f"{name}x"))


@pytest.mark.parametrize("seed", range(25))
async def test_every_way_of_opening_gives_the_same_account(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "TABLE_PAGES", 3)
    rng = random.Random(seed)
    world = await make_world(**SMALL)
    pods = [world.pod() for _ in range(2)]
    accounts = [await pod.open(world.ref) for pod in pods]
    for number in range(60):
        which = rng.randrange(len(pods))
        await accounts[which].refresh()
        try:
            await _step(rng, accounts[which], number)
        except MailError as error:
            assert type(error).__name__ in ("NoSuchMailbox", "TryCreate", "MailboxExists", "CannotDo"), error
        if rng.random() < 0.2:
            await pods[which].checkpoint(accounts[which])
        if rng.random() < 0.05:
            pods[which] = world.pod()
            accounts[which] = await pods[which].open(world.ref)
    for account in accounts:
        await account.refresh()
    expected = (await _replay(world)).digest()
    fresh = await world.pod().open(world.ref)
    assert fresh.log.state.digest() == expected
    assert [account.log.state.digest() for account in accounts] == [expected] * 2
    assert await _metadata(fresh) == await _metadata(accounts[0]) == await _metadata(accounts[1])
    assert fresh.log.base > 0


async def _filled(count: int, **settings: int) -> tuple[World, Store, Account]:
    world = await make_world(**(SMALL | {"checkpoint_commits": 10_000, "checkpoint_header_bytes": 1 << 40} | settings))
    store = world.pod()
    account = await store.open(world.ref)
    for at in range(0, count, 50):
        await account.append("INBOX", [NewMessage(mail(at + n)) for n in range(min(50, count - at))])
    assert await store.checkpoint(account)
    return world, store, account


async def test_a_checkpoint_rewrites_only_what_changed() -> None:
    world, store, account = await _filled(2000, page_messages=100, state_page_messages=500, overlay_entries=50)
    before = {entry.key for entry in await world.objects.list(f"{world.ref.prefix}page/")}
    assert len(before) == 24
    await account.store_flags(account.mailbox("INBOX"), [700], "add", ["\\Seen"])
    assert await store.checkpoint(account)
    assert {entry.key for entry in await world.objects.list(f"{world.ref.prefix}page/")} == before
    await account.store_flags(account.mailbox("INBOX"), range(1, 300), "add", ["\\Seen"])
    await account.append("INBOX", [NewMessage(mail(1))])
    assert await store.checkpoint(account)
    new = {entry.key for entry in await world.objects.list(f"{world.ref.prefix}page/")} - before
    assert len(new) == 3  # two state pages (700 was in the overlay too), one of metadata
    fresh = await world.pod().open(world.ref)
    assert fresh.log.state.digest() == account.log.state.digest()


async def test_a_large_mailbox_is_opened_in_a_few_requests_and_reads_only_the_pages_it_needs() -> None:
    world, _, _ = await _filled(3000, page_messages=10, state_page_messages=65_536, overlay_entries=50)
    faulty = Faulty(world.objects)
    account = await world.pod(faulty).open(world.ref)
    assert len(faulty.requests) <= 6  # LIST, root, state page, the next commit; LIST and GET of the incarnation in use
    faulty.requests.clear()
    box = account.mailbox("INBOX")
    assert [page.uids[row] async for page, rows in box.pages([5, 2999]) for row in rows] == [5, 2999]
    assert len(faulty.requests) <= 4  # a table and a page each


async def test_a_checkpoint_whose_page_is_missing_or_damaged_is_passed_over() -> None:
    for spoil in ("delete", "damage", "root"):
        world, store, account = await _filled(60)
        first = {entry.key for entry in await world.objects.list(f"{world.ref.prefix}page/")}
        await account.store_flags(account.mailbox("INBOX"), account.mailbox("INBOX").uids, "add", ["\\Seen"])
        assert await store.checkpoint(account)
        root = checkpoint_key(world.ref.prefix, account.head)
        for key in {entry.key for entry in await world.objects.list(f"{world.ref.prefix}page/")} - first:
            if spoil == "delete":
                await world.objects.delete([key])
            elif spoil == "damage":
                await world.objects.put(key, [b"MPP1\x02rubbish"])
        if spoil == "root":
            await world.objects.put(root, [(await world.objects.get(root))[:-1]])
        fresh = await world.pod().open(world.ref)
        assert fresh.log.state.digest() == account.log.state.digest()
        assert fresh.log.base < account.log.base


async def test_rule_8_the_loser_of_the_race_takes_the_winners_checkpoint() -> None:
    world, store, account = await _filled(60)
    other_store = world.pod()
    other = await other_store.open(world.ref)
    await account.append("INBOX", [NewMessage(mail(1))])
    await other.refresh()
    faulty = Faulty(world.objects, match="/checkpoint/")
    store.objects = faulty

    async def win() -> None:
        assert await other_store.checkpoint(other)

    faulty.script.append(win)
    assert not await store.checkpoint(account)
    for number in range(10):
        await account.append("INBOX", [NewMessage(mail(number))])
    assert await _metadata(account) == await _metadata(await world.pod().open(world.ref))
    await store.checkpoint(account)
    assert await _metadata(account) == await _metadata(await world.pod().open(world.ref))


async def test_rule_8_a_checkpoint_that_took_too_long_is_not_published() -> None:
    world, store, account = await _filled(60)
    await account.append("INBOX", [NewMessage(mail(1))])
    faulty = Faulty(world.objects, match="/page/")
    store.objects = faulty

    async def stall() -> None:
        world.clock.time += world.settings.grace

    faulty.script.append(stall)
    assert not await store.checkpoint(account)
    assert len(await world.objects.list(f"{world.ref.prefix}checkpoint/")) == 1
    assert await store.checkpoint(account)
    assert await _metadata(account) == await _metadata(await world.pod().open(world.ref))


async def test_state_changes_while_a_checkpoint_is_written_are_kept() -> None:
    world, store, account = await _filled(60)
    box = account.mailbox("INBOX")
    await account.append("INBOX", [NewMessage(mail(1))])
    faulty = Faulty(world.objects, match="/page/")
    store.objects = faulty

    async def busy() -> None:
        await account.append("INBOX", [NewMessage(mail(2))])
        await account.expunge(box, [3, 61])
        await account.store_flags(box, [5, 62], "add", ["\\Flagged"])

    faulty.script.append(busy)
    assert await store.checkpoint(account)
    for _ in range(2):
        fresh = await world.pod().open(world.ref)
        assert fresh.log.state.digest() == account.log.state.digest()
        assert await _metadata(fresh) == await _metadata(account)
        await store.checkpoint(account)


async def test_checkpoints_are_written_when_due_in_the_background() -> None:
    world = await make_world(checkpoint_commits=5)
    store = world.pod()
    account = await store.open(world.ref)
    for number in range(23):
        await account.append("INBOX", [NewMessage(mail(number))])
    await store.close()
    found = await world.objects.list(f"{world.ref.prefix}checkpoint/")
    assert 2 <= len(found) <= 5


async def test_changes_to_messages_that_get_their_first_state_page_meanwhile_are_kept() -> None:
    """Found by simulation, seed 0: nothing noted a change to a message whose state page was still being written."""
    world = await make_world(**SMALL, checkpoint_header_bytes=1 << 40)
    store = world.pod()
    account = await store.open(world.ref)
    await account.append("INBOX", [NewMessage(mail(number)) for number in range(20)])
    faulty = Faulty(world.objects, match="/page/")
    store.objects = faulty

    async def busy() -> None:
        await account.store_flags(account.mailbox("INBOX"), [5, 6], "add", ["\\Seen"])

    faulty.script.append(busy)
    assert await store.checkpoint(account)
    await account.append("INBOX", [NewMessage(mail(1))])
    assert await store.checkpoint(account)
    assert (await world.pod().open(world.ref)).log.state.digest() == account.log.state.digest()


async def test_a_tail_whose_messages_are_all_gone_takes_no_more_once_a_checkpoint_passed_it_over() -> None:
    """Found by simulation, seed 3: what was appended to it meanwhile fell out of the index."""
    world = await make_world(**SMALL, checkpoint_header_bytes=1 << 40)
    store = world.pod()
    account = await store.open(world.ref)
    await account.append("Sent", [NewMessage(mail(1))])
    await account.append("INBOX", [NewMessage(mail(2))])
    await account.expunge(account.mailbox("INBOX"), [1])
    faulty = Faulty(world.objects, match="/page/")
    store.objects = faulty

    async def busy() -> None:
        await account.append("INBOX", [NewMessage(mail(3))])

    faulty.script.append(busy)
    assert await store.checkpoint(account)
    assert (await account.copy(account.mailbox("INBOX"), [2], "Trash")).target == [1]
    assert await _metadata(account) == await _metadata(await world.pod().open(world.ref))
