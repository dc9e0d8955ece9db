"""The directory as a pod reads it, against a bucket in memory whose clock stands still unless it is moved."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mailpod.directory import AliasEntry, Directory, DomainEntry, Entry, MailboxEntry
from mailpod.errors import AccountMissing, Unavailable
from mailpod.store import incarnations
from mailpod.store.entries import entry_key, key_id, seal
from mailpod.store.incarnations import Incarnation
from mailpod.store.memory import MemoryObjects
from mailpod.store.objects import Entry as Listed
from mailpod.store.objects import StorageError

OURS = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
THEIRS = Ed25519PrivateKey.from_private_bytes(b"t" * 32)


class StoppedClock:
    time = 1000.0

    def elapsed(self) -> float:
        return self.time

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


class Bucket(MemoryObjects):
    """Counts reads and listings, is down when told, and tags what it lists, as S3 does."""

    reads = 0
    listings = 0
    down = False

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Listed]:
        self.listings += 1
        if self.down:
            raise StorageError("down")
        found = await super().list(prefix, after=after, limit=limit)
        return [replace(one, tag=hashlib.md5(await super(Bucket, self).get(one.key)).hexdigest()) for one in found]

    async def get(self, key: str) -> bytes:
        self.reads += 1
        if self.down:
            raise StorageError("down")
        return await super().get(key)

    async def say(self, *entries: Entry, key: Ed25519PrivateKey = OURS) -> None:
        for entry in entries:
            await self.put(entry_key(entry), [seal(entry, key)])


def mailbox(address: str, **fields: object) -> MailboxEntry:
    local, _, domain = address.rpartition("@")
    return msgspec.structs.replace(MailboxEntry(address=address, domain=domain, local=local), **fields)


def alias(address: str, *targets: str, **fields: object) -> AliasEntry:
    local, _, domain = address.rpartition("@")
    entry = AliasEntry(address=address, domain=domain, local=local, targets=targets)
    return msgspec.structs.replace(entry, **fields)


def domain(name: str = "example.com", **fields: object) -> DomainEntry:
    entry = DomainEntry(name=name, hostname=f"mail.{name}", max_message_bytes=1000)
    return msgspec.structs.replace(entry, **fields)


ALICE = mailbox("alice@example.com", incarnation="a1", version=1)
BOB = mailbox("bob@example.com", incarnation="b1", version=1)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
async def bucket() -> AsyncIterator[Bucket]:
    bucket = Bucket()
    await bucket.say(
        domain(postmaster="bob@example.com"), ALICE, BOB, alias("both@example.com", ALICE.address, BOB.address)
    )
    await bucket.say(alias("a.lice@example.com", ALICE.address), mailbox("bob+work@example.com"))
    yield bucket


@pytest.fixture
def directory(bucket: Bucket, clock: StoppedClock) -> Directory:
    return reader(bucket, clock)


def reader(bucket: Bucket, clock: StoppedClock, capacity: int = 100) -> Directory:
    keys = [OURS.public_key().public_bytes_raw()]
    return Directory(bucket, public_keys=keys, clock=clock, ttl=5, capacity=capacity)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("alice@example.com", [ALICE]),
        ("ALICE@Example.com", [ALICE]),
        ("alice+shop+2024@example.com", [ALICE]),
        ("bob+work@example.com", [mailbox("bob+work@example.com")]),  # the full address first
        ("bob+play@example.com", [BOB]),
        ("a.lice@example.com", [ALICE]),
        ("a.lice+tag@example.com", [ALICE]),
        ("both@example.com", [ALICE, BOB]),
        ("postmaster@example.com", [BOB]),
        ("Abuse@example.com", [BOB]),
        ("abuse+tag@example.com", [BOB]),
        ("webmaster@example.com", []),
        ("carol@example.com", []),
        ("+alice@example.com", []),
        ("alice@example.org", []),
        ("alice@[192.0.2.1]", []),
        ("alice", []),
    ],
)
async def test_resolve(directory: Directory, address: str, found: list[MailboxEntry]) -> None:
    assert await directory.resolve(address) == found
    assert await directory.lookup(address) == (found[0] if len(found) == 1 else None)


async def test_postmaster_with_an_entry_of_its_own(bucket: Bucket, directory: Directory) -> None:
    await bucket.say(mailbox("postmaster@example.com"))
    assert await directory.resolve("postmaster@example.com") == [mailbox("postmaster@example.com")]


async def test_an_alias_of_a_withdrawn_mailbox_is_unknown(bucket: Bucket, directory: Directory) -> None:
    await bucket.delete([entry_key(ALICE)])
    assert await directory.resolve("a.lice@example.com") == []
    assert await directory.resolve("both@example.com") == [BOB]


async def test_addresses_of_a_withdrawn_domain_are_unknown(bucket: Bucket, directory: Directory) -> None:
    await bucket.delete([entry_key(domain())])
    assert await directory.resolve("alice@example.com") == []


async def test_a_change_is_seen_after_the_ttl_and_no_sooner(
    bucket: Bucket, directory: Directory, clock: StoppedClock
) -> None:
    assert await directory.lookup("alice@example.com") == ALICE
    assert await directory.lookup("carol@example.com") is None
    changed = msgspec.structs.replace(ALICE, suspended=True, version=2)
    carol = mailbox("carol@example.com")
    await bucket.say(changed, carol)
    reads = bucket.reads
    clock.time += 4.9
    assert await directory.lookup("alice@example.com") == ALICE
    assert await directory.lookup("carol@example.com") is None
    assert bucket.reads == reads
    clock.time += 0.1
    assert await directory.lookup("alice@example.com") == changed
    assert await directory.lookup("carol@example.com") == carol
    await bucket.delete([entry_key(ALICE)])
    clock.time += 5
    assert await directory.lookup("alice@example.com") is None


async def test_forget(bucket: Bucket, directory: Directory) -> None:
    assert await directory.lookup("alice+tag@example.com") == ALICE
    changed = msgspec.structs.replace(ALICE, quota_bytes=5, version=2)
    await bucket.say(changed)
    directory.forget("alice+tag@example.com")
    assert await directory.lookup("alice+tag@example.com") == changed


async def test_many_who_ask_at_once_are_one_read(bucket: Bucket, directory: Directory) -> None:
    await directory.domain("example.com")
    before = bucket.reads
    asked = [asyncio.ensure_future(directory.lookup("alice@example.com")) for _ in range(50)]
    await asyncio.sleep(0)
    asked[0].cancel()
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1:] == [ALICE] * 49
    assert bucket.reads == before + 1


async def test_a_bucket_that_is_down_is_not_an_unknown_user(
    bucket: Bucket, directory: Directory, clock: StoppedClock
) -> None:
    assert await directory.lookup("alice@example.com") == ALICE
    bucket.down = True
    assert await directory.lookup("alice@example.com") == ALICE
    clock.time += 5
    for address in ("alice@example.com", "carol@example.com", "alice@example.org"):
        with pytest.raises(Unavailable):
            await directory.lookup(address)
    bucket.down = False
    assert await directory.lookup("alice@example.com") == ALICE


@pytest.mark.parametrize("tamper", ["payload", "signature", "key id", "unsigned", "empty", "other signer"])
async def test_a_tampered_entry_is_unavailable(bucket: Bucket, directory: Directory, tamper: str) -> None:
    key = entry_key(ALICE)
    payload, signature, _ = (await bucket.get(key)).split(b"\n")
    name, value = signature.split()
    damaged = {
        "payload": payload.replace(b'"suspended":false', b'"suspended":true ') + b"\n" + signature,
        "signature": payload + b"\n" + name + b" " + value[:-6] + b"AAAA==",
        "key id": payload + b"\n" + b"0" * 16 + b" " + value,
        "unsigned": payload + b"\n",
        "empty": b"",
        "other signer": seal(ALICE, THEIRS),
    }
    await bucket.put(key, [damaged[tamper]])
    with pytest.raises(Unavailable):
        await directory.lookup("alice@example.com")


async def test_a_stolen_key_id_does_not_help(bucket: Bucket, directory: Directory) -> None:
    forged = seal(ALICE, THEIRS).replace(*(key_id(k.public_key().public_bytes_raw()).encode() for k in (THEIRS, OURS)))
    await bucket.put(entry_key(ALICE), [forged])
    with pytest.raises(Unavailable):
        await directory.lookup("alice@example.com")


async def test_an_entry_put_at_another_address_is_unavailable(bucket: Bucket, directory: Directory) -> None:
    await bucket.put(entry_key(mailbox("carol@example.com")), [await bucket.get(entry_key(ALICE))])
    with pytest.raises(Unavailable):
        await directory.lookup("carol@example.com")


async def test_an_older_entry_put_back_is_ignored(bucket: Bucket, directory: Directory, clock: StoppedClock) -> None:
    newer = msgspec.structs.replace(ALICE, suspended=True, version=7)
    await bucket.say(newer)
    assert await directory.lookup("alice@example.com") == newer
    await bucket.say(ALICE)
    clock.time += 5
    assert await directory.lookup("alice@example.com") == newer
    await bucket.delete([entry_key(ALICE)])
    clock.time += 5
    assert await directory.lookup("alice@example.com") is None
    await bucket.say(ALICE)
    clock.time += 5
    assert await directory.lookup("alice@example.com") is None
    again = msgspec.structs.replace(ALICE, version=8)
    await bucket.say(again)
    clock.time += 5
    assert await directory.lookup("alice@example.com") == again


async def test_an_entry_for_newer_readers_is_unavailable(bucket: Bucket, directory: Directory) -> None:
    await bucket.say(msgspec.structs.replace(ALICE, min_reader=2))
    with pytest.raises(Unavailable):
        await directory.lookup("alice@example.com")


async def test_fields_of_the_future_are_ignored(bucket: Bucket, directory: Directory) -> None:
    future = msgspec.defstruct("Future", [("sieve", str, "x")], bases=(MailboxEntry,), tag="mailbox", frozen=True)
    await bucket.say(future(address=ALICE.address, domain="example.com", local="alice"))
    assert await directory.lookup("alice@example.com") == mailbox("alice@example.com")


async def test_two_keys_during_a_rotation(bucket: Bucket, clock: StoppedClock) -> None:
    both = [key.public_key().public_bytes_raw() for key in (OURS, THEIRS)]
    await bucket.say(BOB, key=THEIRS)
    directory = Directory(bucket, public_keys=both, clock=clock)
    assert await directory.lookup("alice@example.com") == ALICE
    assert await directory.lookup("bob@example.com") == BOB


async def test_the_cache_is_bounded(bucket: Bucket, clock: StoppedClock) -> None:
    directory = reader(bucket, clock, capacity=3)
    for number in range(20):
        await bucket.say(mailbox(f"u{number}@example.com"))
        assert await directory.lookup(f"u{number}@example.com")
        assert await directory.lookup(f"nobody{number}@example.com") is None
    assert len(directory._present) == len(directory._absent) == 3


async def test_account_takes_the_hint_until_told_to_look(bucket: Bucket, directory: Directory) -> None:
    assert (await directory.account(ALICE)).incarnation == "a1"
    with pytest.raises(AccountMissing):
        await directory.account(ALICE, fresh=True)
    for number in (1, 2, 10):
        await incarnations.create(bucket, "example.com", "alice", Incarnation(number, f"a{number}"))
    assert (await directory.account(ALICE)).incarnation == "a1"
    assert (await directory.account(ALICE, fresh=True)).incarnation == "a10"
    assert (await directory.account(ALICE)).incarnation == "a10"  # the hint is known to be stale
    hinted = msgspec.structs.replace(ALICE, incarnation="a11")
    assert (await directory.account(hinted)).incarnation == "a11"


async def test_account_without_a_hint(bucket: Bucket, directory: Directory) -> None:
    await incarnations.create(bucket, "example.com", "carol", Incarnation(1, "c1"))
    ref = await directory.account(mailbox("carol@example.com"))
    assert (ref.domain, ref.local, ref.incarnation) == ("example.com", "carol", "c1")


CROWD = [f"u{number}@example.com" for number in range(40)]


@pytest.fixture
async def crowd(bucket: Bucket) -> list[str]:
    await bucket.say(*(mailbox(address, incarnation="i", version=1) for address in CROWD))
    return CROWD


async def look_up(directory: Directory, addresses: list[str], clock: StoppedClock) -> list[MailboxEntry | None]:
    """A sweep of the registry, past the ttl."""
    clock.time += 5
    await directory.confirm(addresses)
    return [await directory.lookup(address) for address in addresses]


async def test_many_entries_are_confirmed_by_a_listing(
    bucket: Bucket, directory: Directory, clock: StoppedClock, crowd: list[str]
) -> None:
    first = await look_up(directory, crowd, clock)
    await look_up(directory, crowd, clock)
    bucket.reads = bucket.listings = 0
    assert await look_up(directory, crowd, clock) == first
    assert (bucket.listings, bucket.reads) == (1, 0)  # the domain's own entry is in the listing too


async def test_what_changed_since_the_listing_before_is_read(
    bucket: Bucket, directory: Directory, clock: StoppedClock, crowd: list[str]
) -> None:
    for _ in range(2):
        await look_up(directory, crowd, clock)
    changed = mailbox(crowd[3], incarnation="i", version=2, suspended=True)
    await bucket.say(changed)
    await bucket.delete([entry_key(mailbox(crowd[4]))])
    bucket.reads = 0
    found = await look_up(directory, crowd, clock)
    assert found[3:5] == [changed, None]
    assert bucket.reads == 2
    bucket.reads = 0
    await look_up(directory, crowd, clock)
    assert bucket.reads == 1  # the one that is not there: no listing speaks of it


async def test_a_change_between_the_read_and_the_first_listing_is_not_missed(
    bucket: Bucket, directory: Directory, clock: StoppedClock, crowd: list[str]
) -> None:
    for address in crowd:
        await directory.lookup(address)
    changed = mailbox(crowd[0], incarnation="i", version=2)
    await bucket.say(changed)
    assert (await look_up(directory, crowd, clock))[0] == changed


async def test_a_listing_that_asks_more_than_the_reads_is_not_made(
    bucket: Bucket, directory: Directory, clock: StoppedClock, crowd: list[str]
) -> None:
    for _ in range(3):
        await look_up(directory, crowd[:11], clock)
    assert bucket.listings == 0
    for number in range(3000):  # objects of mailboxes that nobody is logged in to
        await bucket.put(f"directory/example.com/x{number}/address", [b""])
    for _ in range(3):
        await look_up(directory, crowd, clock)
    assert bucket.listings == 1  # it did not reach all


async def test_a_bucket_that_cannot_be_listed_confirms_nothing(
    bucket: Bucket, directory: Directory, clock: StoppedClock, crowd: list[str]
) -> None:
    for _ in range(2):
        await look_up(directory, crowd, clock)
    bucket.down = True
    with pytest.raises(Unavailable):
        await look_up(directory, crowd, clock)
    bucket.down = False
    assert all(await look_up(directory, crowd, clock))
