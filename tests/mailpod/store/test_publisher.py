"""Publishing by comparison: what is written, what is left alone, and what two publishers make of one bucket."""

import asyncio
import random
from collections.abc import Sequence

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mailpod.clock import SystemClock
from mailpod.directory import AliasEntry, Directory, DomainEntry, Entry, MailboxEntry, Published, Publisher, public_key
from mailpod.store import incarnations, objects
from mailpod.store.entries import entry_key, seal
from mailpod.store.memory import MemoryObjects
from mailpod.store.objects import AlreadyExists, Ambiguous, Buffer, StorageError

KEY = b"k" * 32
DOMAIN = DomainEntry(name="example.com", hostname="mx.example.com", max_message_bytes=1000)
ALICE = MailboxEntry(address="alice@example.com", domain="example.com", local="alice", verifiers=("v",))
BOB = MailboxEntry(address="bob@example.com", domain="example.com", local="bob", verifiers=("w",))
INFO = AliasEntry(address="info@example.com", domain="example.com", local="info", targets=("alice@example.com",))


class Bucket(MemoryObjects):
    """Counts writes; each of `faults` is raised by one write, before it or (Ambiguous) after it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []
        self.faults: list[Exception | None] = []

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        await self._fail(key, super().create(key, data))

    async def put(self, key: str, data: Sequence[Buffer]) -> None:
        await self._fail(key, super().put(key, data))

    async def delete(self, keys: Sequence[str]) -> None:
        self.writes += keys
        await super().delete(keys)

    async def _fail(self, key: str, write: object) -> None:
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, StorageError):
            write.close()  # type: ignore[attr-defined]
            raise fault
        await write  # type: ignore[misc]
        self.writes.append(key)
        if fault:
            raise fault


def publisher(bucket: MemoryObjects, seed: int = 1) -> Publisher:
    return Publisher(bucket, signing_key=KEY, clock=SystemClock(), rng=random.Random(seed))


def reader(bucket: MemoryObjects) -> Directory:
    return Directory(bucket, public_keys=[public_key(KEY)], clock=SystemClock())


async def test_first_everything_then_nothing() -> None:
    bucket = Bucket()
    first = await publisher(bucket).publish([DOMAIN, ALICE, BOB, INFO])
    assert len(first.written) == 4 and len(first.opened) == 2
    assert bucket.writes[-1] == "directory/example.com/!domain"  # served only when the addresses are there
    bucket.writes.clear()
    assert await publisher(bucket, seed=2).publish([INFO, BOB, ALICE, DOMAIN]) == Published()
    assert bucket.writes == []


async def test_only_what_differs_is_written() -> None:
    bucket = Bucket()
    await publisher(bucket).publish([DOMAIN, ALICE, BOB])
    before = await reader(bucket).lookup("alice@example.com")
    bucket.writes.clear()
    changed = msgspec.structs.replace(ALICE, suspended=True)
    done = await publisher(bucket).publish([DOMAIN, changed, BOB])
    assert done == Published(written=(entry_key(ALICE),)) and bucket.writes == [entry_key(ALICE)]
    after = await reader(bucket).lookup("alice@example.com")
    assert before and after and after.suspended
    assert after.version > before.version
    assert (after.incarnation, after.incarnation_number) == (before.incarnation, 1)


async def test_withdrawn_and_there_again_is_the_same_account() -> None:
    bucket = Bucket()
    await publisher(bucket).publish([DOMAIN, ALICE, BOB])
    before = await reader(bucket).lookup("alice@example.com")
    kept = await bucket.list("accounts/")
    done = await publisher(bucket).publish([DOMAIN, BOB])
    assert done == Published(withdrawn=(entry_key(ALICE),))
    assert await reader(bucket).lookup("alice@example.com") is None
    assert await bucket.list("accounts/") == kept  # its mail is nobody's to touch here
    await publisher(bucket).publish([DOMAIN, ALICE, BOB])
    after = await reader(bucket).lookup("alice@example.com")
    assert before and after and after.incarnation == before.incarnation
    assert await bucket.list("accounts/") == kept


async def test_a_domain_that_is_gone_is_withdrawn_and_others_out_of_scope_are_not() -> None:
    bucket = Bucket()
    other = DomainEntry(name="example.org", hostname="mx", max_message_bytes=1)
    await publisher(bucket).publish([DOMAIN, ALICE, other])
    await publisher(bucket).publish([DOMAIN], domains=["example.com"])
    assert await reader(bucket).domain("example.org")
    done = await publisher(bucket).publish([])
    assert done.withdrawn == (entry_key(DOMAIN), entry_key(other))
    assert await reader(bucket).domain("example.org") is None


@pytest.mark.parametrize("damage", ["other key", "rubbish"])
async def test_a_damaged_or_planted_entry_is_repaired(damage: str) -> None:
    bucket = Bucket()
    await publisher(bucket).publish([DOMAIN, ALICE])
    thief = Ed25519PrivateKey.generate()
    await bucket.put(entry_key(ALICE), [seal(ALICE, thief) if damage == "other key" else b"rubbish"])
    await bucket.put(entry_key(BOB), [seal(BOB, thief)])
    done = await publisher(bucket).publish([DOMAIN, ALICE])
    assert (done.written, done.withdrawn) == ((entry_key(ALICE),), (entry_key(BOB),))
    found = await reader(bucket).lookup("alice@example.com")
    assert found and found.incarnation_number == 1


async def test_a_newer_publishers_entry_is_left_alone() -> None:
    bucket = Bucket()
    await publisher(bucket).publish([DOMAIN, ALICE])
    future = seal(msgspec.structs.replace(ALICE, min_reader=99), Ed25519PrivateKey.from_private_bytes(KEY))
    await bucket.put(entry_key(ALICE), [future])
    for entries in ([DOMAIN, ALICE], [DOMAIN]):
        done = await publisher(bucket).publish(entries)
        assert done == Published(newer=(entry_key(ALICE),))
    assert await bucket.get(entry_key(ALICE)) == future


async def test_a_later_incarnation_is_taken_up() -> None:
    bucket = Bucket()
    await publisher(bucket).publish([DOMAIN, ALICE])
    made = incarnations.Incarnation(2, "second", floor=77)
    await incarnations.create(bucket, "example.com", "alice", made)
    done = await publisher(bucket).publish([DOMAIN, ALICE])
    assert done.opened == ("accounts/example.com/alice/second/",)
    found = await reader(bucket).lookup("alice@example.com")
    assert found and (found.incarnation, found.incarnation_number) == ("second", 2)


async def test_an_account_whose_first_commit_was_collected_is_not_opened_again() -> None:
    bucket = Bucket()
    await publisher(bucket).publish([DOMAIN, ALICE])
    entry = await reader(bucket).lookup("alice@example.com")
    assert entry
    prefix = f"accounts/example.com/alice/{entry.incarnation}/"
    await bucket.delete([f"{prefix}log/{1:020d}", entry_key(ALICE)])
    await bucket.put(f"{prefix}checkpoint/99999999999999999900", [b""])
    await publisher(bucket).publish([DOMAIN, ALICE])
    assert await bucket.list(f"{prefix}log/") == []


async def test_two_publishers_at_once_agree_on_one_incarnation() -> None:
    for seed in range(20):
        bucket = Bucket()
        racers = [publisher(bucket, seed=100 * seed + racer) for racer in range(4)]
        await asyncio.gather(*(racer.publish([DOMAIN, ALICE, BOB]) for racer in racers))
        for local in ("alice", "bob"):
            entry = await reader(bucket).lookup(f"{local}@example.com")
            assert entry and len(await bucket.list(f"directory/example.com/{local}/incarnation/")) == 1
            assert await bucket.list_folders(f"accounts/example.com/{local}/") == [entry.incarnation]


@pytest.mark.parametrize("write", range(8))
@pytest.mark.parametrize("fault", [StorageError("down"), Ambiguous("cut")])
async def test_a_pass_that_fails_anywhere_is_finished_by_the_next(write: int, fault: Exception) -> None:
    bucket = Bucket()
    entries: list[Entry] = [DOMAIN, ALICE, BOB, INFO]
    bucket.faults = [*[None] * write, fault]
    try:
        await publisher(bucket).publish(entries)
    except (StorageError, Ambiguous, AlreadyExists) as error:
        assert error is fault
    await publisher(bucket, seed=2).publish(entries)
    bucket.writes.clear()
    assert await publisher(bucket, seed=3).publish(entries) == Published()
    assert bucket.writes == []
    for local in ("alice", "bob"):
        assert len(await bucket.list_folders(f"accounts/example.com/{local}/")) == 1


class Requests(Bucket):
    """Every request, reads too, by method and key."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        self.asked.append(("create", key))
        await super().create(key, data)

    async def put(self, key: str, data: Sequence[Buffer]) -> None:
        self.asked.append(("put", key))
        await super().put(key, data)

    async def get(self, key: str) -> bytes:
        self.asked.append(("get", key))
        return await super().get(key)

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[objects.Entry]:
        self.asked.append(("list", prefix))
        return await super().list(prefix, after=after, limit=limit)


async def test_new_account_costs_four_requests_and_none_right_after_a_comparison() -> None:
    """Thousands are made at a time, and thousands looked at when an operator starts."""
    bucket = Requests()
    await publisher(bucket).publish_some([ALICE])
    assert [method for method, _ in bucket.asked] == ["list", "create", "create", "put"]

    bucket.asked.clear()
    restarted = publisher(bucket, seed=2)
    await restarted.compare([ALICE])
    assert bucket.asked
    bucket.asked.clear()
    assert await restarted.publish_some([ALICE]) == Published()
    assert await restarted.verifiers("alice@example.com") == ("v",)
    assert bucket.asked == []
    changed = msgspec.structs.replace(ALICE, verifiers=("new",))
    assert (await restarted.publish_some([changed])).written == (entry_key(ALICE),)
    assert bucket.asked[0][0] == "list"
    assert await restarted.verifiers("alice@example.com") == ("new",)
    assert await publisher(bucket, seed=3).verifiers("alice@example.com") == ("new",)
    assert await restarted.verifiers("nobody@example.com") == ()


async def test_first_account_of_two_publishers_is_one() -> None:
    """Both saw that there is none; the one that comes second takes what the first made."""
    bucket = Requests()
    one, other = publisher(bucket), publisher(bucket, seed=2)
    await asyncio.gather(one.publish_some([ALICE, DOMAIN]), other.publish_some([ALICE, DOMAIN]))
    entry = await reader(bucket).lookup("alice@example.com")
    newest = await incarnations.latest(bucket, "example.com", "alice")
    assert entry is not None and newest is not None
    assert (newest.number, newest.id) == (1, entry.incarnation)
    assert len(await bucket.list(f"accounts/example.com/alice/{newest.id}/log/")) == 1
