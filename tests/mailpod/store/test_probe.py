"""The probe passes real buckets, and refuses each way in which a server can be unfit, with its reason."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from tests.fixtures_seaweed import Seaweed
from tests.mailpod.store.proxy import Mode, breaking_proxy

from mailpod.store.memory import MemoryObjects
from mailpod.store.objects import AlreadyExists, Ambiguous, Buffer, NotFound, ObjectStore, StorageError
from mailpod.store.opening import open_bucket
from mailpod.store.probe import INCONSISTENT, PROBE_PREFIX, UNREACHABLE, UNSUPPORTED, probe, remove_left


def chance() -> random.Random:
    return random.Random(1)


@pytest.fixture(params=["memory", "folder", "seaweed"])
async def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ObjectStore]:
    if request.param == "seaweed":
        server: Seaweed = request.getfixturevalue("seaweed")
        patch = request.getfixturevalue("monkeypatch")
        for name, value in server.environment.items():
            patch.setenv(name, value)
        objects = await open_bucket(server.url(bucket=server.new_bucket()))
    else:
        objects = await open_bucket("memory:" if request.param == "memory" else str(tmp_path))
    yield objects
    await objects.close()


async def test_a_fit_bucket_passes_and_is_left_clean(bucket: ObjectStore) -> None:
    for _ in range(2):
        found = await probe(bucket, rng=chance())
        assert found.ok, found
    assert await bucket.list(PROBE_PREFIX) == []


class Dies(MemoryObjects):
    """The prober is killed before its n-th write."""

    left = 3

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        self.left -= 1
        if self.left < 0:
            raise asyncio.CancelledError
        await super().create(key, data)

    async def delete(self, keys: Sequence[str]) -> None:
        if self.left >= 0:
            await super().delete(keys)


async def test_what_a_killed_prober_left_goes_with_its_next_start_and_anothers_stays() -> None:
    objects = Dies()
    with pytest.raises(asyncio.CancelledError):
        await probe(objects, rng=chance(), whose="one")
    await objects.put(f"{PROBE_PREFIX}another/1", [b"in use"])
    assert len(await objects.list(f"{PROBE_PREFIX}one/")) > 0
    objects.left = 1000
    await remove_left(objects, "one")
    assert [entry.key for entry in await objects.list(PROBE_PREFIX)] == [f"{PROBE_PREFIX}another/1"]
    assert (await probe(objects, rng=chance(), whose="one")).ok


class Ignores(MemoryObjects):
    """If-None-Match is taken for noise."""

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        await self.put(key, data)


class Lies(MemoryObjects):
    """Answers 412, and writes all the same."""

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        exists = key in self._objects
        await self.put(key, data)
        if exists:
            raise AlreadyExists(key)


class Races(MemoryObjects):
    """Looks, then writes: right as long as nobody else does."""

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        if key in self._objects:
            raise AlreadyExists(key)
        await asyncio.sleep(0.001)
        await self.put(key, data)


class Marks(MemoryObjects):
    """A delete marker counts as an object."""

    def __init__(self) -> None:
        super().__init__()
        self.gone: set[str] = set()

    async def delete(self, keys: Sequence[str]) -> None:
        self.gone |= set(keys)
        await super().delete(keys)

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        if key in self.gone:
            raise AlreadyExists(key)
        await super().create(key, data)


class Refuses(MemoryObjects):
    """501 Not Implemented to a condition."""

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        raise StorageError("501")


class Eventually(MemoryObjects):
    """A new object is not there yet."""

    async def get_with_time(self, key: str) -> tuple[bytes, float]:
        raise NotFound(key)


class Down(MemoryObjects):
    """Answers nothing."""

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        raise StorageError("down")

    async def put(self, key: str, data: Sequence[Buffer]) -> None:
        raise Ambiguous("cut")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (Ignores, UNSUPPORTED),
        (Lies, UNSUPPORTED),
        (Races, UNSUPPORTED),
        (Marks, UNSUPPORTED),
        (Refuses, UNSUPPORTED),
        (Eventually, INCONSISTENT),
        (Down, UNREACHABLE),
    ],
)
async def test_an_unfit_bucket_is_refused(kind: type[MemoryObjects], reason: str) -> None:
    objects = kind()
    found = await probe(objects, rng=chance())
    assert (found.reason, bool(found.message)) == (reason, True)
    assert await objects.list(PROBE_PREFIX) == []


@pytest.mark.parametrize("mode", ["strip", "look"])
async def test_a_proxy_that_breaks_conditions_is_refused(
    seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    async with breaking_proxy(seaweed, mode) as url:
        objects = await open_bucket(f"s3://{seaweed.bucket}/{mode}?endpoint={url}&region={seaweed.region}")
        if mode == "look":  # one after the other it is right
            await objects.create("a/1", [b"first"])
            with pytest.raises(AlreadyExists):
                await objects.create("a/1", [b"second"])
        found = await probe(objects, rng=chance())
    assert found.reason == UNSUPPORTED, found
    expected = "a second create" if mode == "strip" else "simultaneous creates"
    assert expected in found.message
