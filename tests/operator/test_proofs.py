"""A bucket is tried once for all hosts in it, and again where something that decides has changed."""

from __future__ import annotations

import asyncio

from mailoperator.proofs import FIT_SECONDS, Proofs
from mailpod.clock import SystemClock
from mailpod.directory import ProbeResult

WAY = ("https://s3.test", "us-east-1", "mail", "digest")


class Later(SystemClock):
    ahead = 0.0

    def elapsed(self) -> float:
        return super().elapsed() + self.ahead


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
