"""Entries that are taken back while a pass of the publisher goes on: the pass puts none of them back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import msgspec
import pytest
from tests.mailpod.clocks import Later

from mailpod.directory import AliasEntry, Directory, DomainEntry, MailboxEntry, Publisher, public_key
from mailpod.store.departures import Departures
from mailpod.store.entries import entry_key
from mailpod.store.memory import MemoryObjects
from mailpod.store.objects import Buffer

DOMAIN = DomainEntry(name="d.test", hostname="mx.d.test", max_message_bytes=1000)
CAROL = MailboxEntry(address="carol@d.test", domain="d.test", local="carol", verifiers=("v",), owner="carol's")
SALES = AliasEntry(address="sales@d.test", domain="d.test", local="sales", targets=("carol@d.test",), owner="carol's")
ALL = [DOMAIN, CAROL, SALES]


class Gated(MemoryObjects):
    """A PUT of `held` waits, before it is carried out."""

    def __init__(self) -> None:
        super().__init__()
        self.held, self.waits, self.may_go = "", asyncio.Event(), asyncio.Event()

    async def put(self, key: str, data: Sequence[Buffer]) -> None:
        if key == self.held:
            self.waits.set()
            await self.may_go.wait()
        await super().put(key, data)

    async def names(self) -> set[str]:
        return {item.key for item in await self.list("directory/")}


def publisher(bucket: MemoryObjects, clock: Later) -> Publisher:
    return Publisher(bucket, signing_key=b"k" * 32, clock=clock, rng=random.Random(1))


@pytest.mark.parametrize("how", ["withdraw", "close"])
@pytest.mark.parametrize("held", [CAROL, SALES])
async def test_a_write_that_is_under_way_is_waited_for(held: MailboxEntry | AliasEntry, how: str) -> None:
    bucket, clock = Gated(), Later()
    ours = publisher(bucket, clock)
    await ours.publish(ALL)
    clock.ahead = 61.0
    changed = [DOMAIN, msgspec.structs.replace(CAROL, suspended=True), msgspec.structs.replace(SALES, generation=2)]
    bucket.held = entry_key(held)
    comparison = asyncio.create_task(ours.compare(changed))
    await bucket.waits.wait()
    end = ours.withdraw("carol's", ALL) if how == "withdraw" else _closed(ours)
    ended = asyncio.create_task(end)  # type: ignore[arg-type]
    await asyncio.sleep(0.01)
    assert not ended.done()
    bucket.may_go.set()
    await asyncio.gather(comparison, ended)
    names = await bucket.names()
    assert entry_key(DOMAIN) in names and not {entry_key(CAROL), entry_key(SALES)} & names


async def _closed(ours: Publisher) -> None:
    await ours.close("d.test", "carol", "carol's")
    await ours.withdraw("carol's", ALL)


async def test_who_is_missed_and_withdrawn_meanwhile_is_not_put_back_as_an_orphan() -> None:
    bucket, clock = Gated(), Later()
    ours = publisher(bucket, clock)
    dave = msgspec.structs.replace(CAROL, address="dave@d.test", local="dave", owner="dave's")
    await ours.publish([*ALL, dave])
    clock.ahead = 61.0
    bucket.held = entry_key(CAROL)  # the first that is orphaned
    comparison = asyncio.create_task(ours.compare([DOMAIN]))
    await bucket.waits.wait()
    await ours.withdraw("dave's", [dave])
    bucket.may_go.set()
    done = await comparison
    assert done.orphaned == (entry_key(CAROL), entry_key(SALES))
    assert entry_key(dave) not in await bucket.names()


async def test_what_another_has_taken_meanwhile_stays_his() -> None:
    """An address whose owner was missed long enough to lose it goes to a new Mailbox before the pass withdraws it."""
    bucket, clock = Gated(), Later()
    ours = publisher(bucket, clock)
    aaron = msgspec.structs.replace(CAROL, address="aaron@d.test", local="aaron", owner="aaron's")
    await ours.publish([*ALL, aaron])
    clock.ahead = 61.0
    await ours.compare([DOMAIN, aaron])
    clock.ahead += 16 * 60
    bucket.held = entry_key(aaron)
    comparison = asyncio.create_task(ours.compare([DOMAIN, msgspec.structs.replace(aaron, suspended=True)]))
    await bucket.waits.wait()
    await ours.publish_some([msgspec.structs.replace(CAROL, owner="somebody's")])
    bucket.may_go.set()
    done = await comparison
    assert done.withdrawn == (entry_key(SALES),)
    found = await Directory(bucket, public_keys=[public_key(b"k" * 32)], clock=clock).lookup("carol@d.test")
    assert found is not None and (found.owner, found.orphaned) == ("somebody's", 0)


async def test_what_is_planned_after_is_published() -> None:
    """A MailDomain that is applied again has its Mailboxes' addresses back."""
    bucket, clock = Gated(), Later()
    ours = publisher(bucket, clock)
    await ours.publish(ALL)
    before = clock.elapsed()
    await ours.withdraw("carol's", ALL)
    await ours.publish_some([CAROL, SALES], planned=before)
    await ours.compare(ALL, planned=before)
    assert await bucket.names() == {entry_key(DOMAIN), *_incarnations(await bucket.names())}
    await ours.publish_some([CAROL, SALES], planned=clock.elapsed())
    assert {entry_key(CAROL), entry_key(SALES)} <= await bucket.names()
    assert len(_incarnations(await bucket.names())) == 1, "the same account"


def _incarnations(names: set[str]) -> set[str]:
    return {name for name in names if "/incarnation/" in name}


async def test_departures_are_forgotten_in_time() -> None:
    clock = Later()
    departures = Departures(clock)
    planned = clock.elapsed()
    await departures.leave("carol's")
    for ahead, kept in ((599.0, True), (601.0, False)):
        clock.ahead = ahead
        departures.forget()
        with departures.writing("carol's", planned) as may:
            assert may is not kept
