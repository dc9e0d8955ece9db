"""Whoever loses the Lease in the middle of a pass over the directory writes nothing more, at whichever write it is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.operator.test_storage import box

from mailoperator.directorysync import DirectorySync
from mailoperator.fenced import FencedObjects, WriteFenced
from mailoperator.leader import NotLeading
from mailpod.clock import SystemClock
from mailpod.directory import StorageError, new_signing_key
from mailpod.errors import MailError
from mailpod.store.memory import MemoryObjects

ENTRIES = [box("a"), box("b"), box("c")]
SIGNING = new_signing_key()


class Fast(SystemClock):
    """Whoever sleeps wakes at once, so much later."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def elapsed(self) -> float:
        return super().elapsed() + self.ahead

    async def sleep(self, seconds: float) -> None:
        self.ahead += seconds
        await asyncio.sleep(0)


class Lease:
    """Is lost after so many looks that found it held."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def check(self) -> None:
        self.looks -= 1
        if self.looks < 0:
            raise NotLeading


def sync(objects: MemoryObjects, lease: Lease) -> DirectorySync:
    async def holds() -> bool:
        return True

    return DirectorySync(
        FencedObjects(objects, lease.check),
        signing_key=SIGNING,
        clock=Fast(),
        rng=random.Random(1),
        grace=1.0,
        holds_claim=holds,
    )


async def opened(of: DirectorySync) -> None:
    for entry in ENTRIES:
        await of.publish_one([entry])


async def closed(of: DirectorySync) -> None:
    await of.close("x.test", "c", ENTRIES[2].owner)


@pytest.mark.parametrize(("acts", "least"), [([opened], 9), ([opened, closed], 4)])
async def test_no_write_after_the_lease_was_lost(
    acts: list[Callable[[DirectorySync], Awaitable[None]]], least: int
) -> None:
    """It is lost in the last of the acts, at each write; then another operator does the rest."""
    *before, last = acts

    async def world() -> MemoryObjects:
        objects = MemoryObjects()
        for act in before:
            await act(sync(objects, Lease(10_000)))
        return objects

    whole, held = await world(), Lease(10_000)
    await last(sync(whole, held))
    looks = 10_000 - held.looks
    assert looks >= least
    for kept in range(looks):
        objects = await world()
        writes = objects._writes
        with pytest.raises((NotLeading, StorageError, MailError)):
            await last(sync(objects, Lease(kept)))
        assert objects._writes <= writes + kept
        await last(sync(objects, Lease(10_000)))
        assert _shape(objects) == _shape(whole)


def _shape(objects: MemoryObjects) -> list[str]:
    """Keys, without the random id of an incarnation."""
    return sorted("/".join(part for part in key.split("/") if len(part) != 32) for key in objects._keys)


async def test_each_way_of_writing_is_fenced_and_reading_is_not() -> None:
    objects = MemoryObjects()
    await objects.put("a/1", [b"there"])
    fenced = FencedObjects(objects, Lease(0).check)

    async def data() -> AsyncIterator[bytes]:
        yield b"x"

    for write in (
        fenced.create("a/2", [b"x"]),
        fenced.put("a/1", [b"x"]),
        fenced.delete(["a/1"]),
        fenced.upload("a/3", data()),
    ):
        with pytest.raises(WriteFenced):
            await write
    assert await fenced.get("a/1") == b"there"
    assert [entry.key for entry in await fenced.list("a/")] == ["a/1"]
    await fenced.delete([])
