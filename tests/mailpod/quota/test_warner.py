"""Who is nearly out of room is told so: once a threshold, by however many pods, and again when it was left."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import random
from email.message import EmailMessage
from typing import Any

import pytest
from tests.mailpod.store.faults import FakeClock, Faulty

from mailpod import metrics
from mailpod.config import BucketSettings, PodSettings
from mailpod.directory import LATER, DomainEntry, MailboxEntry, Publisher, public_key
from mailpod.errors import OverQuota
from mailpod.pod import build_services
from mailpod.queue.local import deliver
from mailpod.services import Services
from mailpod.store import Account
from mailpod.store.memory import MemoryObjects
from mailpod.store.warning import WARNED

_KEY = b"s" * 32


class World:
    """Pods over one bucket, and alice, whose quota is 100 messages if nothing else is said."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.bucket = MemoryObjects(self.clock)
        self._publisher = Publisher(self.bucket, signing_key=_KEY, clock=self.clock, rng=random.Random(0))
        self._pods = 0
        self.alice = MailboxEntry(address="alice@x.test", domain="x.test", local="alice")

    async def publish(self, *, reads: tuple[str, ...] = LATER, **quota: int) -> None:
        domain = DomainEntry(name="x.test", hostname="mx.x.test", max_message_bytes=2**20, reads=reads)
        fields = {f"quota_{name}": most for name, most in (quota or {"messages": 100}).items()}
        alice: Any = MailboxEntry(address="alice@x.test", domain="x.test", local="alice", **fields)
        await self._publisher.publish([domain, alice])
        self.clock.time += 10  # longer than anything is believed

    def pod(self, bucket: Any = None, **quota: Any) -> Services:
        self._pods += 1
        settings = PodSettings(
            bucket=BucketSettings(url="memory"),
            directory_keys=[base64.b64encode(public_key(_KEY)).decode()],
            quota=quota,
        )
        return build_services(settings, bucket or self.bucket, self.clock, random.Random(self._pods))


@pytest.fixture
async def world() -> World:
    world = World()
    await world.publish()
    return world


async def account(pod: Services) -> Account:
    entry = await pod.directory.lookup("alice@x.test")
    assert entry is not None
    found = await pod.store.open(await pod.directory.account(entry))
    await found.refresh()
    return found


async def receive(pod: Services, count: int, size: int = 0) -> None:
    entry = await pod.directory.lookup("alice@x.test")
    assert entry is not None
    for _ in range(count):
        await deliver(pod, entry, "bob@x.test", [b"Subject: x\r\n\r\n" + b"x" * size], queue_id="q")
        await pod.quota.idle()


async def delete(pod: Services, count: int) -> None:
    held = await account(pod)
    box = held.mailbox("INBOX")
    mail = [uid for uid, size in zip(box.uids, box.sizes, strict=True) if size < 200 or size > 1500]
    await held.expunge(box, mail[:count])


async def warnings(pod: Services) -> list[EmailMessage]:
    held, found = await account(pod), []
    box = held.mailbox("INBOX")
    async for page, rows in box.pages(box.uids[:]):
        for row in rows:
            message = email.message_from_bytes(await held.body(page.location(row)), policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            if message["Auto-Submitted"]:
                found.append(message)
    return found


async def subjects(pod: Services) -> list[str]:
    return [str(message["Subject"]) for message in await warnings(pod)]


async def test_once_a_threshold(world: World) -> None:
    pod = world.pod()
    before = metrics.QUOTA_WARNINGS.labels("x.test")._value.get()
    await receive(pod, 79)
    assert await subjects(pod) == []
    await receive(pod, 1)
    await receive(pod, 13)
    assert await subjects(pod) == ["Your mailbox is 80 % full"]
    await receive(pod, 5)
    assert await subjects(pod) == ["Your mailbox is 80 % full", "Your mailbox is 95 % full"]
    assert metrics.QUOTA_WARNINGS.labels("x.test")._value.get() - before == 2
    with pytest.raises(OverQuota):
        await receive(pod, 1)


async def test_what_it_says(world: World) -> None:
    await world.publish(bytes=5 * 2**20, messages=100)
    pod = world.pod()
    await receive(pod, 1, 4_400_000)
    (message,) = await warnings(pod)
    assert (message["From"], message["To"]) == ("Mail server <postmaster@x.test>", "alice@x.test")
    assert (message["Return-Path"], message["Auto-Submitted"]) == ("<>", "auto-generated")
    assert message["Message-ID"].endswith("@mx.x.test>")
    text = " ".join(message.get_content().split())
    assert "The mailbox alice@x.test is 83 % full: it holds 4.2 MiB of 5.0 MiB and 1 of 100 messages." in text
    assert "Or ask postmaster@x.test for more room." in text
    assert max(map(len, message.get_content().splitlines())) <= 72


async def test_a_message_that_fills_it_at_once(world: World) -> None:
    """One warning of the highest threshold, and it comes though there is no room for it."""
    await world.publish(messages=2)
    pod = world.pod()
    await receive(pod, 2)
    assert await subjects(pod) == ["Your mailbox is 100 % full"]


async def test_around_the_threshold_and_below_it(world: World) -> None:
    one, other = world.pod(), world.pod()
    await receive(one, 85)
    for _ in range(3):  # between 76 and 86: warned of
        await delete(other, 10)
        await receive(one, 10)
    assert await subjects(one) == ["Your mailbox is 80 % full"]
    await delete(other, 12)  # 74
    await receive(one, 5)
    assert await subjects(one) == ["Your mailbox is 80 % full"]
    assert (await account(one)).annotations == {}
    await receive(one, 1)
    assert len(await subjects(one)) == 2
    await receive(one, 14)
    assert await subjects(one) == ["Your mailbox is 80 % full"] * 2 + ["Your mailbox is 95 % full"]
    await delete(other, 10)
    await receive(other, 10)  # from 86 to 96: of the higher one alone
    assert [subject[-9:] for subject in await subjects(one)] == ["80 % full", "80 % full", "95 % full", "95 % full"]


async def test_two_pods_at_the_same_time(world: World) -> None:
    pods = world.pod(), world.pod()
    await receive(pods[0], 79)
    entry = await pods[0].directory.lookup("alice@x.test")
    assert entry is not None
    await asyncio.gather(*(deliver(pod, entry, "b@x.test", [b"\r\nx"], queue_id="q") for pod in pods for _ in range(4)))
    for pod in pods:
        await pod.quota.idle()
    assert len(await subjects(pods[0])) == 1


async def test_a_pod_that_is_killed_leaves_it_to_the_next_growth(world: World) -> None:
    pod, bucket = world.pod(), Faulty(world.bucket)
    await receive(pod, 79)
    doomed, stopped = world.pod(bucket), asyncio.Event()

    async def killed() -> None:
        stopped.set()
        await asyncio.Event().wait()

    bucket.script.extend(["", killed])
    entry = await pod.directory.lookup("alice@x.test")
    assert entry is not None
    await deliver(doomed, entry, "b@x.test", [b"\r\nx"], queue_id="q")
    await stopped.wait()
    await doomed.quota.close()
    assert await subjects(pod) == []
    await receive(pod, 1)
    assert await subjects(pod) == ["Your mailbox is 81 % full"]


async def test_a_commit_whose_answer_is_lost(world: World) -> None:
    bucket = Faulty(world.bucket)
    pod = world.pod(bucket)
    await receive(pod, 79)
    bucket.script.extend(["", "lost"])
    await receive(pod, 5)
    assert await subjects(pod) == ["Your mailbox is 80 % full"]


async def test_another_quota(world: World) -> None:
    pod = world.pod()
    await receive(pod, 85)
    await world.publish(messages=200)
    await receive(pod, 1)
    assert (await account(pod)).annotations == {}
    await world.publish(messages=100)
    await receive(pod, 1)
    assert len(await subjects(pod)) == 2


@pytest.mark.parametrize("written", ["no", "[1]", "[[100,null,null]]"])
async def test_what_a_user_wrote_into_the_annotation(world: World, written: str) -> None:
    pod = world.pod()
    await (await account(pod)).annotate("", [(WARNED, written)])
    await receive(pod, 81)
    assert await subjects(pod) == ["Your mailbox is 80 % full"]


async def test_none_where_there_is_no_quota_no_threshold_or_a_pod_that_cannot_read_it(world: World) -> None:
    await receive(world.pod(warn_percent=[]), 85)
    await world.publish(reads=())
    await receive(world.pod(), 1)
    await world.publish(bytes=2**40)
    await receive(world.pod(), 1)
    pod = world.pod()
    assert await subjects(pod) == [] and (await account(pod)).annotations == {}
