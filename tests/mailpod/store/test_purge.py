"""Accounts end: closed at once, erased one GRACE later, whoever is killed where; made again, they are new ones."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.fixtures_seaweed import Seaweed
from tests.mailpod.store.faults import FakeClock, mail
from tests.mailpod.store.test_claims import Killed, Mortal

from mailpod.directory import Directory, DomainEntry, Entry, MailboxEntry, Publisher, public_key
from mailpod.errors import AccountClosed, AccountMissing, MailError
from mailpod.store import AccountRef, NewMessage, Store, StoreSettings, incarnations
from mailpod.store.buckettime import BucketClock
from mailpod.store.memory import MemoryObjects
from mailpod.store.objects import ObjectStore
from mailpod.store.opening import open_bucket
from mailpod.store.purge import pending, purge
from mailpod.store.shares import Shares

KEY, GRACE = b"k" * 32, 3600.0
DOMAIN = DomainEntry(name="x.test", hostname="mx.x.test", max_message_bytes=1000, owner="d")
ALICE = MailboxEntry(address="alice@x.test", domain="x.test", local="alice", owner="u1")
BOB = MailboxEntry(address="bob@x.test", domain="x.test", local="bob", owner="u2")


SEEDS = itertools.count(1)


def publisher(bucket: Any, clock: FakeClock) -> Publisher:
    """A publisher of its own, as after a restart."""
    return Publisher(bucket, signing_key=KEY, clock=clock, rng=random.Random(next(SEEDS)))


def pod(bucket: Any, clock: FakeClock, **settings: Any) -> Store:
    return Store(bucket, settings=StoreSettings(**settings), clock=clock, rng=random.Random(next(SEEDS)), pod="pod")


async def account_of(bucket: ObjectStore, clock: FakeClock, entry: MailboxEntry = ALICE) -> AccountRef:
    reader = Directory(bucket, public_keys=[public_key(KEY)], clock=clock)
    found = await reader.lookup(entry.address)
    assert found is not None
    return await reader.account(found)


async def filled(
    bucket: ObjectStore, clock: FakeClock, entries: tuple[Entry, ...] = (DOMAIN, ALICE, BOB)
) -> AccountRef:
    """A bucket with mail in alice's account: commits, packs, pages and checkpoints."""
    await publisher(bucket, clock).publish(entries)
    ref = await account_of(bucket, clock)
    store = pod(bucket, clock, checkpoint_commits=2, checkpoint_interval=0.0, inline_message_bytes=500)
    account = await store.open(ref)
    for number in range(7):
        await account.append("INBOX", [NewMessage(mail(number, size=800 if number == 3 else 10))])
        if number in (2, 5):
            await store.checkpoint(account)
    await account.create("Later")
    account.release()
    await store.close()
    return ref


async def purges(bucket: ObjectStore) -> list[Any]:
    return pending(await bucket.list("directory/x.test/"))


async def purge_all(bucket: Any, now: float, erase: Callable[[str], Awaitable[None]] | None = None) -> list[bool]:
    return [await purge(bucket, found, now=now, grace=GRACE, erase=erase) for found in await purges(bucket)]


@pytest.fixture(params=["memory", "folder", "seaweed"])
async def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ObjectStore]:
    if request.param == "seaweed":
        server: Seaweed = request.getfixturevalue("seaweed")
        for name, value in server.environment.items():
            request.getfixturevalue("monkeypatch").setenv(name, value)
        objects = await open_bucket(server.url("deep/prefix", bucket=server.new_bucket()))
    else:
        objects = await open_bucket("memory:" if request.param == "memory" else str(tmp_path))
    yield objects
    await objects.close()


async def test_the_whole_life(bucket: ObjectStore) -> None:
    clock = FakeClock()
    ref = await filled(bucket, clock)
    bobs = await bucket.list("accounts/x.test/bob/")
    store = pod(bucket, clock)
    held = await store.open(ref)
    last = max(box.uidvalidity for box in held.mailboxes.values())
    reader = Directory(bucket, public_keys=[public_key(KEY)], clock=clock)
    stale = await reader.lookup("alice@x.test")
    assert stale is not None

    assert await publisher(bucket, clock).close("x.test", "alice", "somebody else") is None
    assert await reader.lookup("alice@x.test")
    for _ in range(2):  # closed: refused by who looks, by who holds it, by who opens it
        closed = await publisher(bucket, clock).close("x.test", "alice", "u1")
        assert closed is not None and (closed.number, closed.absent, closed.floor) == (2, True, last)
    clock.time += 10
    assert await reader.lookup("alice@x.test") is None
    with pytest.raises(AccountClosed):
        await held.append("INBOX", [NewMessage(mail())])
    with pytest.raises(AccountClosed):
        await pod(bucket, clock).open(ref)
    with pytest.raises(AccountMissing):
        await reader.account(stale, fresh=True)

    measured = await BucketClock(bucket, clock).now()
    assert await purge_all(bucket, measured) == [False]  # its time has not come
    assert await bucket.list(ref.prefix)
    erased: list[str] = []

    async def erase(prefix: str) -> None:
        assert await bucket.list(prefix) == []
        erased.append(prefix)

    assert await purge_all(bucket, measured + GRACE + 1, erase) == [True]
    assert erased == [ref.prefix]
    assert await bucket.list("accounts/x.test/alice/") == [] and await purges(bucket) == []
    assert [entry.key[-1] for entry in await bucket.list("directory/x.test/alice/")] == ["1", "2"]  # incarnation/ stays
    assert await bucket.list("accounts/x.test/bob/") == bobs
    assert await publisher(bucket, clock).close("x.test", "alice", "u1") is None

    clock.time += 1
    await publisher(bucket, clock).publish([DOMAIN, ALICE, BOB])
    again = await account_of(bucket, clock)
    assert again.incarnation != ref.incarnation
    made = await incarnations.latest(bucket, "x.test", "alice")
    assert made is not None and (made.number, made.absent, made.floor) == (3, False, last)
    account = await pod(bucket, clock).open(again)
    assert min(box.uidvalidity for box in account.mailboxes.values()) > last
    assert account.usage_messages == 0


async def test_a_uidvalidity_never_comes_back_though_the_clock_goes_back() -> None:
    bucket, clock = MemoryObjects(), FakeClock()
    ref = await filled(bucket, clock)
    account = await pod(bucket, clock).open(ref)
    last = max(box.uidvalidity for box in account.mailboxes.values())
    await publisher(bucket, clock).close("x.test", "alice", "u1")
    clock.time -= 86_400
    await publisher(bucket, clock).publish_some([ALICE])
    account = await pod(bucket, clock).open(await account_of(bucket, clock))
    assert min(box.uidvalidity for box in account.mailboxes.values()) > last


async def test_applied_again_before_the_purge_is_a_new_account_and_the_old_one_still_goes() -> None:
    bucket, clock = MemoryObjects(), FakeClock()
    old = await filled(bucket, clock)
    await publisher(bucket, clock).close("x.test", "alice", "u1")
    await publisher(bucket, clock).publish_some(
        [MailboxEntry(address="alice@x.test", domain="x.test", local="alice", owner="u9")]
    )
    new = await account_of(bucket, clock)
    account = await pod(bucket, clock).open(new)
    await account.append("INBOX", [NewMessage(mail())])
    assert await publisher(bucket, clock).close("x.test", "alice", "u1") is not None  # the first deletion, repeated
    assert await purge_all(bucket, 1e12) == [True]
    assert await bucket.list(old.prefix) == []
    assert (await pod(bucket, clock).open(new)).usage_messages == 1


async def test_hints_of_what_was_shared_with_an_erased_account_go_with_it() -> None:
    """Those of what is shared with a later one of the address stay."""
    clock = FakeClock()
    bucket = MemoryObjects(clock)
    await filled(bucket, clock)
    shares = Shares(pod(bucket, clock))
    await shares.announce("x.test", "alice", "bob")
    clock.time += 1
    await publisher(bucket, clock).close("x.test", "alice", "u1")
    clock.time += 1
    await shares.announce("x.test", "alice", "carol")
    (found,) = await purges(bucket)
    assert await purge(bucket, found, now=clock.time + GRACE, grace=GRACE)
    assert await Shares(pod(bucket, clock)).owners("x.test", "alice") == ["carol"]


async def test_an_account_without_commit_1_can_be_closed() -> None:
    bucket, clock = MemoryObjects(), FakeClock()
    await publisher(bucket, clock).publish([DOMAIN, ALICE])
    ref = await account_of(bucket, clock)
    await bucket.delete([f"{ref.prefix}log/{1:020d}"])
    assert await publisher(bucket, clock).close("x.test", "alice", "u1")
    with pytest.raises(AccountClosed):
        await pod(bucket, clock).open(ref)


async def test_retained_mail_of_an_earlier_owner_is_not_anybodys_to_close() -> None:
    bucket, clock = MemoryObjects(), FakeClock()
    ref = await filled(bucket, clock)
    await publisher(bucket, clock).publish([DOMAIN, BOB])  # alice was deleted with Retain
    assert await publisher(bucket, clock).close("x.test", "alice", "u2") is None
    assert (await pod(bucket, clock).open(ref)).usage_messages == 7


async def _outcome(bucket: ObjectStore, clock: FakeClock, ref: AccountRef) -> str:
    """What a pod finds that opens the account now: it must never be an earlier state."""
    try:
        account = await pod(bucket, clock).open(ref)
    except (AccountClosed, AccountMissing):
        return "closed"
    except MailError as error:
        return type(error).__name__
    return f"open with {account.usage_messages}"


async def test_a_close_killed_before_every_request_is_finished_by_whoever_comes() -> None:
    for requests in range(40):
        bucket, clock = MemoryObjects(), FakeClock()
        ref = await filled(bucket, clock)
        mortal: Any = Mortal(bucket, requests)
        try:
            await publisher(mortal, clock).close("x.test", "alice", "u1")
            done = True
        except (Killed, MailError):  # the store takes what kills it for its bucket's failure
            done = False
        assert await _outcome(bucket, clock, ref) in ("closed", "open with 7")
        if requests % 2:  # either the deletion goes on, or the Mailbox is applied again by another
            assert await publisher(bucket, clock).close("x.test", "alice", "u1")
        else:
            again = MailboxEntry(address="alice@x.test", domain="x.test", local="alice", owner="u9")
            await publisher(bucket, clock).publish_some([again])
            begun = bool(await purges(bucket))
            new = await account_of(bucket, clock)
            assert (new != ref) == begun
            assert await _outcome(bucket, clock, new) == ("open with 0" if begun else "open with 7")
            if not begun:
                continue
        assert await _outcome(bucket, clock, ref) == "closed"
        assert await purge_all(bucket, 1e12) == [True]
        assert await bucket.list(ref.prefix) == []
        if done:
            return
    pytest.fail("a close takes more requests than were tried")


async def test_a_purge_killed_before_every_request_never_brings_an_earlier_state_back() -> None:
    kept = None
    for requests in range(40):
        bucket, clock = MemoryObjects(), FakeClock()
        ref = await filled(bucket, clock)
        await publisher(bucket, clock).close("x.test", "alice", "u1")
        one_by_one = OneByOne(bucket)
        mortal: Any = Mortal(one_by_one, requests)
        try:
            await purge_all(mortal, 1e12)
            done = True
        except Killed:
            done = False
        assert await _outcome(bucket, clock, ref) == "closed"
        assert await purge_all(bucket, 1e12) == ([] if done else [True])
        assert await bucket.list("accounts/x.test/alice/") == []
        left = {entry.key for entry in await bucket.list("directory/")}
        assert kept in (None, left)
        kept = left
        if done:
            return
    pytest.fail("a purge takes more requests than were tried")


async def test_each_single_deletion_leaves_the_account_closed() -> None:
    """S3's bulk delete has no order, and may be cut: looked at after each object."""
    bucket, clock = MemoryObjects(), FakeClock()
    ref = await filled(bucket, clock)
    await publisher(bucket, clock).close("x.test", "alice", "u1")

    async def look() -> None:
        assert await _outcome(bucket, clock, ref) == "closed"

    watched: Any = OneByOne(bucket, look)
    assert await purge_all(watched, 1e12) == [True]
    assert watched.deletions > 10


class OneByOne:
    """Deletes in any order, key by key."""

    def __init__(self, inner: MemoryObjects, after: Callable[[], Awaitable[None]] | None = None) -> None:
        self._inner, self._after, self._chance = inner, after, random.Random(3)
        self.deletions = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def delete(self, keys: Sequence[str]) -> None:
        for key in self._chance.sample(keys, len(keys)):
            await self._inner.delete([key])
            self.deletions += 1
            if self._after:
                await self._after()


async def test_a_record_that_does_not_fit_erases_nothing() -> None:
    bucket, clock = MemoryObjects(), FakeClock()
    ref = await filled(bucket, clock)
    await bucket.put("directory/x.test/alice/purge/0000000001", [f'{{"id":"{ref.incarnation}","owner":"u1"}}'.encode()])
    assert await purge_all(bucket, 1e12) == [False]  # no absent incarnation
    await publisher(bucket, clock).close("x.test", "alice", "u1")
    await bucket.put("directory/x.test/alice/purge/0000000001", [b'{"id":"","owner":"u1"}'])
    assert await purge_all(bucket, 1e12) == [False]
    assert await bucket.list(ref.prefix)
