"""Whatever is packed and collected when, the account stays the same."""

from __future__ import annotations

import random

import pytest

from mailpod.errors import Expunged, MailError
from mailpod.store import Account, NewMessage, Store, planning
from mailpod.store.log import Log
from mailpod.store.state import State

from .collecting import SMALL, check_homes
from .faults import World, mail, make_world


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_is_packed_and_collected_when_the_account_stays_the_same(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "TABLE_PAGES", 3)
    rng = random.Random(seed)
    world = await make_world(**SMALL)
    pods = [world.pod() for _ in range(3)]
    accounts = [await pod.open(world.ref) for pod in pods]
    truth = _Truth(world)
    for number in range(150):
        which = rng.randrange(len(pods))
        account = accounts[which]
        try:
            await account.refresh()
            await _step(rng, pods[which], account, number)
        except MailError as error:
            assert type(error).__name__ in ("NoSuchMailbox", "TryCreate", "MailboxExists", "CannotDo"), error
        world.clock.time += rng.choice([0, 10, 3600, 20_000, 90_000])
        await truth.follow()
        if rng.random() < 0.05:
            pods[which] = world.pod()
            accounts[which] = await pods[which].open(world.ref)
    slow = rng.choice(accounts)
    await _compare(slow, truth, read_first=True)
    for account in (*accounts, await world.pod().open(world.ref)):
        await account.refresh()
        assert account.log.state.digest() == truth.state.digest()
        await _compare(account, truth)
        await check_homes(account)


class _Truth:
    """The log as it grew, and the messages by mailbox and UID."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.state = State()
        self._log = Log(
            world.objects, world.ref.prefix, settings=world.settings, clock=world.clock, rng=random.Random(0),
            pod="truth", attach=lambda box: None,
        )  # fmt: skip
        self._log.state = self.state

    async def follow(self) -> None:
        while (found := await self._log._read(self.state.head + 1)) is not None:
            self.state.apply(*found)


async def _compare(account: Account, truth: _Truth, *, read_first: bool = False) -> None:
    for name, box in list(account.mailboxes.items()):
        seen = []
        async for page, rows in box.pages(box.uids[:]):
            for row in rows:
                try:
                    data = await account.body(page.location(row))
                except Expunged:
                    assert read_first
                    continue
                subject = page.envelopes[row].split(b'"')[1]
                assert b"Subject: " + subject + b"\r\n" in data
                seen.append(page.uids[row])
        if not read_first:
            assert seen == list(truth.state.names[name].uids)


async def _step(rng: random.Random, pod: Store, account: Account, number: int) -> None:
    name = rng.choice(list(account.mailboxes))
    box = account.mailbox(name)
    some = sorted(rng.sample(list(box.uids), min(len(box.uids), rng.choice([1, 2, 12]))))
    match rng.randrange(14):
        case 0 | 1 | 2 | 3:
            sizes = [rng.choice([0, 0, 50, 4000]) for _ in range(rng.choice([1, 1, 2, 9]))]
            await account.append(name, [NewMessage(mail(number * 100 + n, size)) for n, size in enumerate(sizes)])
        case 4:
            await account.store_flags(box, some, "add", ["\\Seen"])
        case 5:
            await account.expunge(box, some)
        case 6:
            await account.copy(box, some, rng.choice(list(account.mailboxes)))
        case 7:
            await account.move(box, some, rng.choice(list(account.mailboxes)))
        case 8:
            await (account.create(f"box{number}") if rng.random() < 0.7 else account.delete(name))
        case 9 | 10 | 11:
            await pod.checkpoint(account)
        case 12:
            await pod.pack(account, force=rng.random() < 0.5)
        case 13:
            assert not (await pod.collect(account.ref)).refused
