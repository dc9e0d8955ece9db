"""A bucket is tried once for all hosts in it, and again where something that decides has changed."""

from __future__ import annotations

import asyncio

import pytest
from tests.mailpod.clocks import Later

from mailoperator.proofs import FIT_SECONDS, Proofs
from mailpod.directory import ProbeResult, StorageError

WAY = ("https://s3.test", "us-east-1", "mail", "digest")


class Trials:
    """Counts; what the probe finds is `reason`."""

    def __init__(self) -> None:
        self.count, self.reason = 0, ""

    async def __call__(self) -> ProbeResult:
        self.count += 1
        await asyncio.sleep(0)
        return ProbeResult(self.reason)


async def test_hosts_that_come_at_once_wait_for_one_trial() -> None:
    proofs, trials = Proofs(Later()), Trials()
    found = await asyncio.gather(*(proofs.result(WAY, trials) for _ in range(20)))
    assert all(result.ok for result in found)
    assert trials.count == 1


async def test_a_refusal_is_not_remembered() -> None:
    proofs, trials = Proofs(Later()), Trials()
    trials.reason = "ConditionalWritesUnsupported"
    for count in (1, 2):
        assert not (await proofs.result(WAY, trials)).ok
        assert trials.count == count
    trials.reason = ""
    assert (await proofs.result(WAY, trials)).ok


async def test_another_way_to_the_bucket_is_tried() -> None:
    proofs, trials = Proofs(Later()), Trials()
    await proofs.result(WAY, trials)
    for part in range(len(WAY)):
        other = tuple(f"{word}x" if number == part else word for number, word in enumerate(WAY))
        await proofs.result(other, trials)  # type: ignore[arg-type]
    assert trials.count == 1 + len(WAY)


async def test_it_is_tried_again_after_a_change_and_after_an_hour() -> None:
    clock, trials = Later(), Trials()
    proofs = Proofs(clock)
    await proofs.result(WAY, trials)
    proofs.forget("another")
    await proofs.result(WAY, trials)
    assert trials.count == 1
    proofs.forget("mail")
    await proofs.result(WAY, trials)
    assert trials.count == 2
    clock.ahead = FIT_SECONDS + 1
    await proofs.result(WAY, trials)
    assert trials.count == 3


async def test_what_an_earlier_process_left_is_removed_once_and_before_any_trial() -> None:
    proofs, order = Proofs(Later()), []

    async def tidy() -> None:
        await asyncio.sleep(0)
        order.append("tidy")

    async def trial() -> ProbeResult:
        order.append("trial")
        return ProbeResult()

    async def host(digest: str) -> None:
        way = (*WAY[:3], digest)
        await proofs.tidied(way, tidy)
        await proofs.result(way, trial)

    await asyncio.gather(host("one"), host("two"))
    await host("one")
    assert order == ["tidy", "trial", "trial"]


async def test_a_tidying_that_failed_is_tried_again() -> None:
    proofs, calls = Proofs(Later()), []

    async def tidy() -> None:
        calls.append(len(calls))
        if len(calls) == 1:
            raise StorageError("down")

    with pytest.raises(StorageError):
        await proofs.tidied(WAY, tidy)
    for _ in range(2):
        await proofs.tidied(WAY, tidy)
    assert calls == [0, 1]
