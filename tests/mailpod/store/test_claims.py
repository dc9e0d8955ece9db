"""Claims: who has a prefix has it alone, with what is above and below, whoever races, dies or comes later."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailpod.store.claims import (
    CLAIMS_PREFIX,
    Claim,
    ClaimConflict,
    claim_domain,
    claim_key,
    claim_prefix,
    claimed_prefix,
    held_claim,
    overlap,
    release_domain,
)
from mailpod.store.memory import MemoryObjects
from mailpod.store.objects import ObjectStore

ALICE, BOB = Claim("c1", "mail", "alice"), Claim("c1", "mail", "bob")
SEGMENT = st.text("abcXYZ09._-%/ü", min_size=1, max_size=6).filter(lambda text: not text.startswith("."))


@given(st.lists(st.text("abAZ09_-%ü", min_size=1, max_size=5), max_size=4))
def test_a_key_tells_its_prefix(parts: list[str]) -> None:
    prefix = "/".join(parts)
    key = claim_key(prefix)
    assert claimed_prefix(key) == prefix
    assert "/" not in key.removeprefix(CLAIMS_PREFIX)


@pytest.mark.parametrize("prefix", ["/a", "a/", "a//b", "a/../b", ".", ".mailpod", ".local/x"])
def test_what_is_no_prefix(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        claim_key(prefix)


@given(SEGMENT, SEGMENT)
def test_overlap_goes_by_folders(one: str, other: str) -> None:
    assert overlap(one, one) and overlap("", one) and overlap(one, f"{one}/{other}") and overlap(f"{one}/{other}", one)
    assert not overlap(f"{one}x", one) and overlap(one, other) == overlap(other, one)


async def test_a_held_claim_is_written_once() -> None:
    bucket = MemoryObjects()
    first = await claim_prefix(bucket, "mail/a", ALICE)
    before = await bucket.get_with_time(claim_key("mail/a"))
    assert await claim_prefix(bucket, "mail/a", ALICE) == first
    assert await bucket.get_with_time(claim_key("mail/a")) == before
    assert await held_claim(bucket, "mail/a", ALICE) == first
    assert await held_claim(bucket, "mail/a", BOB) is None
    proved = await claim_prefix(bucket, "mail/a", Claim("c1", "mail", "alice", proof="1:aws"))
    assert proved.proof == "1:aws"


@pytest.mark.parametrize("other", ["", "mail", "mail/a", "mail/a/b"])
async def test_what_overlaps_is_refused_and_leaves_nothing(other: str) -> None:
    bucket = MemoryObjects()
    await claim_prefix(bucket, "mail/a", ALICE)
    with pytest.raises(ClaimConflict) as conflict:
        await claim_prefix(bucket, other, BOB)
    assert conflict.value.holder.same_owner(ALICE)
    assert conflict.value.may_take_over == (other == "mail/a")
    assert [entry.key for entry in await bucket.list(CLAIMS_PREFIX)] == [claim_key("mail/a")]
    await claim_prefix(bucket, "mail/ab", BOB)


async def test_what_is_refused_again_and_again_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator tries every few seconds: a claim that came and went each time would refuse others meanwhile."""
    bucket = MemoryObjects()
    await claim_prefix(bucket, "mail/a", ALICE)
    for name in ("create", "put", "delete"):
        monkeypatch.delattr(MemoryObjects, name)
    for other in ("", "mail", "mail/a", "mail/a/b"):
        with pytest.raises(ClaimConflict):
            await claim_prefix(bucket, other, BOB)


async def test_taking_over_is_of_the_same_prefix_only() -> None:
    bucket = MemoryObjects()
    await claim_prefix(bucket, "mail/a", ALICE)
    await claim_prefix(bucket, "mail/a", BOB, take_over=True)
    assert await held_claim(bucket, "mail/a", BOB) and not await held_claim(bucket, "mail/a", ALICE)
    with pytest.raises(ClaimConflict):
        await claim_prefix(bucket, "mail", ALICE, take_over=True)


async def test_of_overlapping_racers_at_most_one_ever_holds() -> None:
    prefixes = ["", "a", "a/b", "a/b/c", "a/b"]
    for seed in range(60):
        bucket, chance = Jittery(seed), random.Random(seed)
        owners = [(prefix, Claim("c", "ns", str(number))) for number, prefix in enumerate(prefixes)]
        chance.shuffle(owners)
        for _ in range(3):
            done = await asyncio.gather(
                *(claim_prefix(bucket, prefix, owner) for prefix, owner in owners), return_exceptions=True
            )
            assert all(isinstance(one, Claim | ClaimConflict) for one in done)
            held = [prefix for prefix, owner in owners if await held_claim(bucket, prefix, owner)]
            assert len(held) <= 1, held


class Jittery(MemoryObjects):
    """Requests take their time, as it falls."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._chance = random.Random(seed)

    async def _late(self) -> None:
        for _ in range(self._chance.randrange(5)):
            await asyncio.sleep(0)

    async def create(self, *args: Any) -> None:
        await self._late()
        await super().create(*args)

    async def get(self, key: str) -> bytes:
        await self._late()
        return await super().get(key)

    async def list(self, *args: Any, **kwargs: Any) -> list[Any]:
        await self._late()
        return await super().list(*args, **kwargs)


class Killed(Exception):
    """The process ended. Whatever catches it gets no further request through."""


_REQUESTS = {"create", "put", "get", "get_range", "get_head", "get_with_time", "list_folders", "list", "delete"}


class Mortal:
    """Dies before its k-th request."""

    def __init__(self, inner: ObjectStore, requests: int) -> None:
        self._inner, self._left = inner, requests

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in _REQUESTS:
            return method

        async def call(*args: Any, **kwargs: Any) -> Any:
            if self._left <= 0:
                raise Killed
            self._left -= 1
            return await method(*args, **kwargs)

        return call


@pytest.mark.parametrize("requests", range(9))
async def test_a_claim_killed_anywhere_is_finished_and_blocks_no_holder(requests: int) -> None:
    bucket = MemoryObjects()
    mortal: Any = Mortal(bucket, requests)
    with suppress(Killed):
        await claim_prefix(mortal, "mail/a", ALICE)
    holder = await held_claim(bucket, "mail/a", ALICE)
    try:
        await claim_prefix(bucket, "mail", BOB)
        assert holder is None
    except ClaimConflict:
        assert await claim_prefix(bucket, "mail/a", ALICE)
        return
    with pytest.raises(ClaimConflict):
        await claim_prefix(bucket, "mail/a", ALICE)


async def test_a_domain_has_one_owner_until_it_is_released() -> None:
    bucket = MemoryObjects()
    done = await asyncio.gather(
        *(claim_domain(bucket, "x.test", owner) for owner in (ALICE, BOB)), return_exceptions=True
    )
    assert sum(isinstance(one, ClaimConflict) for one in done) == 1
    holder, other = (ALICE, BOB) if done[0] is None else (BOB, ALICE)
    await release_domain(bucket, "x.test", other)  # not its
    with pytest.raises(ClaimConflict):
        await claim_domain(bucket, "x.test", other)
    await claim_domain(bucket, "x.test", holder)
    await release_domain(bucket, "x.test", holder)
    await claim_domain(bucket, "x.test", other)
    with pytest.raises(ClaimConflict):
        await claim_domain(bucket, "x.test", holder)
    await claim_domain(bucket, "x.test", holder, take_over=True)
