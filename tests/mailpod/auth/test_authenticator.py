"""Log-in against a real directory in memory; time is a clock of the test's."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Any

import argon2
import pytest

from mailpod.auth import verifier as verifier_module
from mailpod.auth.authenticator import Authenticator
from mailpod.auth.throttle import Throttle
from mailpod.auth.verifier import Verifier
from mailpod.clock import SystemClock
from mailpod.config import BucketSettings, PodSettings
from mailpod.directory import AliasEntry, Directory, DomainEntry, Entry, MailboxEntry
from mailpod.errors import AuthFailed, AuthRefused, Busy, Unavailable
from mailpod.net.peer import Peer, network_of, plain_address
from mailpod.net.registry import Registry
from mailpod.store.entries import new_signing_key, public_key
from mailpod.store.memory import MemoryObjects
from mailpod.store.objects import StorageError
from mailpod.store.publisher import Publisher

HASHER = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
PEER = Peer("192.0.2.1", 1000, False)
KEY = new_signing_key()


class StepClock:
    """Time that passes only where it is slept."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def elapsed(self) -> float:
        return self.time

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


class Bucket(MemoryObjects):
    away = False

    async def get(self, key: str) -> bytes:
        if self.away:
            raise StorageError("away")
        return await super().get(key)


@dataclass
class World:
    bucket: Bucket
    clock: StepClock
    directory: Directory
    auth: Authenticator

    async def publish(self, *entries: Entry) -> None:
        domain = DomainEntry(name="example.org", hostname="mx", max_message_bytes=10**6)
        publisher = Publisher(self.bucket, signing_key=KEY, clock=SystemClock(), rng=random.Random(1))
        await publisher.publish([domain, *entries])
        self.clock.time += 6  # past the directory's cache

    async def login(self, name: str = "ann@example.org", password: str = "pw", **more: Any) -> Any:
        return await self.auth.login(name, password, **({"peer": PEER, "protocol": "imap"} | more))


def user(local: str, *passwords: str, **fields: Any) -> MailboxEntry:
    verifiers = tuple(map(HASHER.hash, passwords))
    return MailboxEntry(
        address=f"{local}@example.org", domain="example.org", local=local, verifiers=verifiers, **fields
    )


@pytest.fixture
async def world() -> World:
    bucket, clock = Bucket(), StepClock()
    directory = Directory(bucket, public_keys=[public_key(KEY)], clock=clock)
    settings = PodSettings(bucket=BucketSettings(url="memory:"), throttle_free_failures=1)
    world = World(bucket, clock, directory, Authenticator(directory, settings, clock))
    await world.publish(user("ann", "pw", "second"), user("bob", "bobs"))
    return world


async def test_either_password_and_any_case(world: World) -> None:
    identity = await world.login()
    assert identity.address == "ann@example.org"
    assert identity.ref.local == "ann"
    assert (await world.login("ANN@Example.ORG", "second")).stamp == identity.stamp


@pytest.mark.parametrize("name", ["bob@example.org", "nobody@example.org", "ann@elsewhere.example", "ann", "", "\0@x"])
async def test_wrong_ones_all_fail_alike(world: World, name: str) -> None:
    with pytest.raises(AuthFailed):
        await world.login(name)


async def test_entry_without_password_lets_nobody_in(world: World) -> None:
    await world.publish(user("ann"))
    with pytest.raises(AuthFailed):
        await world.login("ann@example.org", "")
    with pytest.raises(AuthFailed):
        await world.login()


async def test_alias_and_tag_are_no_names_to_log_in_with(world: World) -> None:
    alias = AliasEntry(address="info@example.org", domain="example.org", local="info", targets=("ann@example.org",))
    await world.publish(user("ann", "pw"), alias)
    for name in ("info@example.org", "ann+tag@example.org"):
        with pytest.raises(AuthFailed):
            await world.login(name)


async def test_protocol_and_suspension_are_told_only_to_who_knows_the_password(world: World) -> None:
    await world.publish(user("ann", "pw", protocols=("smtp",)), user("bob", "bobs", suspended=True))
    with pytest.raises(AuthRefused):
        await world.login()
    with pytest.raises(AuthRefused):
        await world.login("bob@example.org", "bobs")
    with pytest.raises(AuthFailed):
        await world.login("bob@example.org", "wrong")
    await world.login(protocol="smtp")


async def test_bucket_away_is_not_a_wrong_password(world: World) -> None:
    world.bucket.away = True
    with pytest.raises(Unavailable):
        await world.login()
    assert world.clock.slept == []
    world.bucket.away = False
    await world.login()


async def test_failures_are_slowed_by_account_and_by_address(world: World) -> None:
    for _ in range(8):
        with pytest.raises(AuthFailed):
            await world.login(password="guess")
    assert world.clock.slept == sorted(world.clock.slept)
    assert world.clock.slept[0] == pytest.approx(0.5, rel=0.2)
    assert world.clock.slept[-1] <= 8
    other = Peer("198.51.100.7", 1, False)
    world.clock.slept.clear()
    await world.login(peer=other)  # right, from elsewhere: waits for the account's sake
    assert len(world.clock.slept) == 1
    await world.login(peer=other)
    assert len(world.clock.slept) == 1  # and is forgiven
    await world.login("bob@example.org", "bobs")
    assert len(world.clock.slept) == 2  # another account from the guessing address waits
    world.clock.time += 3600
    await world.login()
    assert len(world.clock.slept) == 2


async def test_new_password_is_in_force_and_the_old_one_forgotten(world: World) -> None:
    before = await world.login()
    await world.publish(user("ann", "new"))
    with pytest.raises(AuthFailed):
        await world.login()
    assert (await world.login(password="new")).stamp != before.stamp


async def test_known_password_needs_no_thread(world: World) -> None:
    await world.login()
    started = time.perf_counter()
    for _ in range(200):
        await world.login()
    assert (time.perf_counter() - started) / 200 < 0.002


async def test_too_many_waiting_are_told_to_come_back() -> None:
    verifier = Verifier(SystemClock(), threads=1, queue=2, entries=10, seconds=10)
    hashed = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024).hash("pw")
    results = await asyncio.gather(*(verifier.verify([hashed], "pw") for _ in range(4)), return_exceptions=True)
    assert [type(result) for result in results] == [bool, bool, Busy, Busy]
    verifier.close()


async def test_wrong_guess_at_a_quick_hash_costs_as_much_as_at_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    matches = verifier_module._matches

    def counted(verifier: str, secret: bytes) -> bool:
        asked.append(verifier)
        return matches(verifier, secret)

    monkeypatch.setattr(verifier_module, "_matches", counted)
    verifier = Verifier(SystemClock(), threads=1, queue=9, entries=9, seconds=9)
    quick = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("pw")
    slow = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1).hash("pw")
    for verifiers, expected in (([], [verifier._dummy]), ([quick], [quick, verifier._dummy]), ([slow], [slow])):
        asked.clear()
        assert not await verifier.verify(verifiers, "guess")
        assert asked == expected
    asked.clear()
    assert await verifier.verify([quick], "pw")
    assert asked == [quick]
    verifier.close()


async def test_memory_of_passwords_is_bounded_in_number_and_time() -> None:
    clock = StepClock()
    verifier = Verifier(clock, threads=1, queue=9, entries=2, seconds=10)
    hashed = [HASHER.hash("pw") for _ in range(3)]
    for verifier_text in hashed:
        assert await verifier.verify([verifier_text], "pw")
    assert len(verifier._known) == 2
    clock.time += 11
    assert await verifier.verify([hashed[2]], "pw")
    assert not await verifier.verify([hashed[2]], "pW")
    assert not await verifier.verify(["$1$not-argon2"], "pw")
    verifier.close()


def test_throttle_is_bounded() -> None:
    throttle = Throttle(StepClock(), free=0, first=1, longest=8, decay=60, entries=100)
    for number in range(1000):
        throttle.failed(f"network {number}")
    assert len(throttle) == 100
    assert throttle.delay("network 999") == 1
    assert throttle.delay("network 1") == 0


def test_addresses_that_count_as_one() -> None:
    assert network_of("2001:db8:1:2:3::4") == network_of("2001:db8:1:2::9")
    assert network_of("2001:db8:1:3::") != network_of("2001:db8:1:2::")
    assert plain_address("::ffff:192.0.2.1") == network_of("192.0.2.1") == "192.0.2.1"


class Session:
    revoked = 0

    def on_revoked(self) -> None:
        self.revoked += 1


async def test_sessions_end_when_their_account_changes_and_not_otherwise(world: World) -> None:
    registry = Registry(world.directory)
    ann, bob = Session(), Session()
    ann_identity = await world.login()
    bob_identity = await world.login("bob@example.org", "bobs")
    registry.add(ann, ann_identity, "imap")
    registry.add(bob, bob_identity, "imap")
    bobs = bob_identity.entry

    world.clock.time += 6
    world.bucket.away = True
    await registry.sweep()
    world.bucket.away = False
    await world.publish(user("ann", "new"), bobs)
    await registry.sweep()
    assert (ann.revoked, bob.revoked) == (1, 0)

    await world.publish(bobs.__class__(**{**_fields(bobs), "quota_bytes": 5}))
    await registry.sweep()
    assert bob.revoked == 0  # a quota is no reason

    await world.publish()  # bob is withdrawn
    await registry.sweep()
    assert bob.revoked == 1
    registry.remove(bob, bob_identity)
    registry.remove(bob, bob_identity)
    assert len(registry) == 1
    assert registry.count("bob@example.org") == 0


def _fields(entry: MailboxEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__struct_fields__}
