"""Messages for several mailboxes: durable first, then in each mailbox once, whoever hands them out."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import pytest
from tests.mailpod.smtp.server import Bucket, Server, make_services

from mailpod.queue.spool import Spool
from mailpod.services import Services
from mailpod.store.outbound import FORMAT, SpoolEntry
from mailpod.store.outcome import decode

ALICE, BOB = "alice@example.com", "bob@example.com"
MESSAGE = b"Received: from far.example\r\n\r\nbody\r\n"
QUICK = {"takeover_seconds": 0.05, "claim_seconds": 0.2, "sweep_seconds": 0.1, "retry_first": 0.02}


class Broken(Bucket):
    """A bucket that refuses to create what `refuses` says."""

    refuses: Callable[[str], bool] = staticmethod(lambda key: False)

    async def create(self, key: str, data: object) -> None:
        if self.refuses(key):
            from mailpod.store.objects import StorageError

            raise StorageError("refused")
        await super().create(key, data)  # type: ignore[arg-type]

    async def delete(self, keys: Sequence[str]) -> None:
        if any(map(self.refuses, keys)):
            from mailpod.store.objects import StorageError

            raise StorageError("refused")
        await super().delete(keys)


@pytest.fixture
async def bucket() -> Broken:
    return Broken()


async def pod(bucket: Bucket, **queue: float) -> Services:
    return await make_services(bucket, queue={**QUICK, **queue}, store={"commit_deadline": 0.2})


def entry(
    services: Services, *recipients: str, sender: str = "sender@far.example", user: str = "", format: int = FORMAT
) -> SpoolEntry:
    return SpoolEntry(services.spool.new_id(), sender, recipients or (ALICE, BOB), 0.0, user=user, format=format)


async def inbox(services: Services, address: str) -> list[bytes]:
    return await Server(services, Bucket(), 0).inbox(address)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Poll, 5 s at most: what changes is in the bucket."""
    async with asyncio.timeout(5):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def settled(bucket: Bucket) -> None:
    """Wait until the queue is empty."""

    async def empty() -> bool:
        return not await bucket.list("outbound/")

    await until(empty)


async def test_handed_out_at_once_and_settled(bucket: Broken) -> None:
    services = await pod(bucket)
    await services.spool.accept(entry(services), MESSAGE)
    await services.spool.idle()
    for address in (ALICE, BOB):
        assert await inbox(services, address) == [
            f"Return-Path: <sender@far.example>\r\nDelivered-To: {address}\r\n".encode() + MESSAGE
        ]
    assert await bucket.list("outbound/") == []


async def test_another_pod_hands_out_what_a_dead_one_left(bucket: Broken) -> None:
    dead, alive = await pod(bucket), await pod(bucket)
    left = entry(dead)
    await dead.spool.outbound.create(left, MESSAGE)  # and there it died
    alive.spool.start()
    await settled(bucket)
    await alive.spool.stop()
    assert [len(await inbox(alive, address)) for address in (ALICE, BOB)] == [1, 1]


async def test_two_pods_at_one_entry_deliver_once(bucket: Broken) -> None:
    pods = [await pod(bucket, claim_seconds=0.01, takeover_seconds=0.01) for _ in range(3)]
    for _ in range(10):
        await pods[0].spool.outbound.create(entry(pods[0]), MESSAGE)
    for services in pods:
        services.spool.start()
    await settled(bucket)
    for services in pods:
        await services.spool.stop()
    assert [len(await inbox(pods[0], address)) for address in (ALICE, BOB)] == [10, 10]


async def test_delivered_but_not_settled_is_not_delivered_again(bucket: Broken) -> None:
    services = await pod(bucket)
    await services.spool.accept(entry(services), MESSAGE)
    bucket.refuses = lambda key: key.startswith("outbound/")
    await services.spool.idle()
    bucket.refuses = lambda key: False
    assert [len(await inbox(services, address)) for address in (ALICE, BOB)] == [1, 1]
    assert await bucket.list("outbound/") != []
    services.spool.start()
    await settled(bucket)
    await services.spool.stop()
    assert [len(await inbox(services, address)) for address in (ALICE, BOB)] == [1, 1]


async def test_one_mailbox_that_cannot_be_reached_is_tried_again(bucket: Broken) -> None:
    services = await pod(bucket)
    bucket.refuses = lambda key: key.startswith("accounts/example.com/bob/") and "/log/" in key
    await services.spool.accept(entry(services), MESSAGE)
    await services.spool.idle()
    assert len(await inbox(services, ALICE)) == 1
    (result,) = [found.key for found in await bucket.list("outbound/") if "/result-" in found.key]
    outcomes = decode(await bucket.get(result))
    assert {recipient: outcome.action for recipient, outcome in outcomes.items()} == {
        ALICE: "delivered",
        BOB: "delayed",
    }
    bucket.refuses = lambda key: False
    services.spool.start()
    await settled(bucket)
    await services.spool.stop()
    assert [len(await inbox(services, address)) for address in (ALICE, BOB)] == [1, 1]


async def test_a_mailbox_that_is_gone_is_told_to_the_sender(bucket: Broken) -> None:
    services = await pod(bucket)
    left = entry(services, ALICE, "removed@example.com", sender="carol@example.com", user="carol@example.com")
    await services.spool.accept(left, MESSAGE)
    await services.spool.idle()
    assert len(await inbox(services, ALICE)) == 1
    (notice,) = await inbox(services, "carol@example.com")
    assert notice.startswith(b"Return-Path: <>\r\n") and b"removed@example.com" in notice and b"5.1.1" in notice
    assert await bucket.list("outbound/") == []


@pytest.mark.parametrize("fields", [{"user": ""}, {"sender": "", "user": "carol@example.com"}])
async def test_nobody_is_told_who_may_be_forged(bucket: Broken, fields: dict[str, str]) -> None:
    services = await pod(bucket)
    await services.spool.accept(
        entry(services, "removed@example.com", **{"sender": "carol@example.com", **fields}), MESSAGE
    )
    await services.spool.idle()
    assert await inbox(services, "carol@example.com") == []
    assert await bucket.list("outbound/") == []


async def test_an_old_entry_is_not_handed_out(bucket: Broken) -> None:
    services = await pod(bucket, lifetime_seconds=0.001)
    left = entry(services, sender="carol@example.com", user="carol@example.com")
    await services.spool.outbound.create(left, MESSAGE)
    services.spool.start()
    await settled(bucket)
    await services.spool.stop()
    assert [await inbox(services, address) for address in (ALICE, BOB)] == [[], []]
    (notice,) = await inbox(services, "carol@example.com")
    assert notice.count(b"Status: 4.4.7") == 2


async def test_an_entry_of_format_1_that_was_given_up(bucket: Broken) -> None:
    """Its results were words, and it waited for notices to exist."""
    services = await pod(bucket)
    left = entry(services, ALICE, "removed@example.com", sender="carol@example.com", format=1)
    await services.spool.outbound.create(left, MESSAGE)
    results = b'{"alice@example.com":"delivered","removed@example.com":"5.1.1 no such mailbox"}'
    await bucket.create(f"outbound/{left.id}/result-000000", [results])
    await bucket.create(f"outbound/{left.id}/undelivered", [b'{"removed@example.com":"5.1.1 no such mailbox"}'])
    services.spool.start()
    await settled(bucket)
    await services.spool.stop()
    assert await inbox(services, ALICE) == []
    assert len(await inbox(services, "carol@example.com")) == 1


async def test_garbage_is_cleared(bucket: Broken) -> None:
    services = await pod(bucket)
    outbound = services.spool.outbound
    for state in ("done", "claimed", "both"):
        made = entry(services)
        if state != "claimed":
            await outbound.create(made, MESSAGE)
            await bucket.create(f"outbound/{made.id}/done", [b"{}"])
        if state != "done":
            assert await outbound.claim(made.id, 1, "dead")
    services.spool.start()
    await settled(bucket)
    await services.spool.stop()
    assert await inbox(services, ALICE) == []


async def test_over_the_budget_the_message_is_read_again(bucket: Broken) -> None:
    services = await pod(bucket)
    taken = services.budget.total
    assert services.budget.try_take(taken)
    services.spool.start()
    await services.spool.accept(entry(services), MESSAGE)
    await asyncio.sleep(0.1)
    assert await inbox(services, ALICE) == []
    services.budget.give(taken)
    await settled(bucket)
    await services.spool.stop()
    assert len(await inbox(services, ALICE)) == 1
    assert services.budget.used == 0


async def test_a_full_mailbox_may_overshoot(bucket: Broken) -> None:
    services = await pod(bucket)
    for _ in range(2):
        await services.spool.accept(entry(services, ALICE, "full@example.com"), b"\r\n" + b"x" * 1900 + b"\r\n")
    await services.spool.idle()
    assert len(await inbox(services, "full@example.com")) == 2


@pytest.mark.parametrize("seed", range(8))
async def test_crashes_at_random_moments(bucket: Broken, seed: int) -> None:
    """Pods that stop dead anywhere: whatever was accepted is there, once."""
    rng = random.Random(seed)
    accepted: list[str] = []
    for _ in range(6):
        services = await pod(bucket, claim_seconds=0.05)
        services.spool.start()
        work = [asyncio.create_task(accept(services, accepted)) for _ in range(5)]
        await asyncio.sleep(rng.uniform(0, 0.05))
        crash(services.spool, work)
        await asyncio.sleep(0)
    services = await pod(bucket, claim_seconds=0.05)
    services.spool.start()
    await settled(bucket)
    await services.spool.stop()
    for address in (ALICE, BOB):
        texts = [whole.rpartition(b"\r\n\r\n")[2].decode().strip() for whole in await inbox(services, address)]
        assert len(texts) == len(set(texts))
        assert set(accepted) <= set(texts)


async def accept(services: Services, accepted: list[str]) -> None:
    made = entry(services)
    await services.spool.accept(made, f"\r\n\r\n{made.id}\r\n".encode())
    accepted.append(made.id)


def crash(spool: Spool, work: list[asyncio.Task[None]]) -> None:
    for task in [*work, *spool._tasks, spool._runner]:
        if task is not None:
            task.cancel()


async def test_listing_in_pages(bucket: Broken, monkeypatch: pytest.MonkeyPatch) -> None:
    from mailpod.store import outbound as module

    services = await pod(bucket)
    made = [entry(services) for _ in range(7)]
    for one in made:
        await services.spool.outbound.create(one, MESSAGE)
        for number in range(1, 4):
            await services.spool.outbound.claim(one.id, number, "p")
            await services.spool.outbound.record(one.id, number, {})
    for page in (1, 2, 3, 5, 7, 8, 100):
        monkeypatch.setattr(module, "_PAGE", page)
        found, after = [], ""
        while some := await services.spool.outbound.standings(after):
            found += some
            after = some[-1].id
        assert [standing.id for standing in found] == sorted(one.id for one in made)
        assert all(standing.last == 3 and not standing.claimed and standing.message for standing in found)


async def test_ambiguous_creation_is_one_entry(bucket: Broken) -> None:
    from mailpod.store.objects import Ambiguous

    class Unsure(Bucket):
        times = 2

        async def create(self, key: str, data: object) -> None:
            await super().create(key, data)  # type: ignore[arg-type]
            if key.endswith("/message") and self.times:
                self.times -= 1
                raise Ambiguous("lost answer")

    services = await pod(Unsure())
    await services.spool.accept(entry(services), MESSAGE)
    await services.spool.idle()
    assert len(await inbox(services, ALICE)) == 1
