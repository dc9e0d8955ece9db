"""Messages that have been in a folder for too long go: exactly those, once, whoever is killed meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from tests.mailpod.retention.retaining import DAY, World, account, fill, uids
from tests.mailpod.store.faults import FakeClock

from mailpod import metrics
from mailpod.errors import MailError
from mailpod.services import Services
from mailpod.store import NewMessage


@pytest.fixture
def world() -> World:
    return World()


def expired() -> float:
    return float(metrics.EXPIRED.labels("x.test")._value.get())


async def test_by_when_it_came_into_the_folder(world: World) -> None:
    await world.publish(alice={"Trash": 30, "Junk": 14}, bob={})
    pod = world.pod()
    before = expired()
    for name in ("alice", "bob"):
        await fill(pod, 2, name=name)
        await fill(pod, 2, "Junk", name)
        await fill(pod, 2, "INBOX", name)
    world.time.time += 20 * DAY
    held = await account(pod)
    await held.move(held.mailbox("INBOX"), [2], "Trash")  # an old message that is new there
    await pod.retention.look()
    assert (await uids(pod), await uids(pod, "Junk"), await uids(pod, "INBOX")) == ([1, 2, 3], [], [1])
    world.time.time += 11 * DAY
    await pod.retention.look()
    assert await uids(pod) == [3]
    assert [await uids(pod, folder, "bob") for folder in ("Trash", "Junk", "INBOX")] == [[1, 2]] * 3
    assert expired() - before == 4


async def test_the_folder_of_the_use_or_of_the_name(world: World) -> None:
    await world.publish(alice={"Trash": 1, "INBOX": 2, "Lists/old": 1})
    pod = world.pod()
    held = await account(pod)
    await held.rename("Trash", "Papierkorb")
    await held.create("Trash")
    await held.create("Lists/old/below")
    folders = ("Papierkorb", "Trash", "INBOX", "Lists/old", "Lists/old/below", "Archive")
    for folder in folders:
        await fill(pod, 1, folder)
    world.time.time += 3 * DAY
    await pod.retention.look()
    assert [await uids(pod, folder) for folder in folders] == [[], [1], [], [], [1], [1]]


async def test_suspended_nothing_is_deleted(world: World) -> None:
    await world.publish(alice={"Trash": 1})
    pod = world.pod()
    await fill(pod, 1)
    world.time.time += 3 * DAY
    await world.publish(alice=None)
    await pod.retention.look()
    await world.publish()
    await pod.retention.look()  # the Mailbox is gone, and what it retained is there
    await world.publish(alice={})
    assert await uids(pod) == [1]


async def test_once_a_day_by_one_pod(world: World) -> None:
    await world.publish(alice={"Trash": 1})
    pods = world.pod(), world.pod()
    await fill(pods[0], 1)
    world.time.time += 3 * DAY
    await asyncio.gather(*(pod.retention.look() for pod in pods))
    assert [entry.key for entry in await world.bucket.list("retention/")] == [
        "retention/2025-11-28/x.test/claim-01",
        "retention/2025-11-28/x.test/done",
    ]
    await fill(pods[0], 1)
    world.time.time += 0.4 * DAY
    await pods[0].retention.look()
    assert await uids(pods[1]) == [2], "today's round is over"
    world.time.time += DAY
    await pods[1].retention.look()
    assert await uids(pods[0]) == []
    assert {entry.key.split("/")[1] for entry in await world.bucket.list("retention/")} == {"2025-11-29"}


async def test_two_pods_at_the_same_mailbox(world: World) -> None:
    """What a claim spares them; and clients take messages away, and bring some, meanwhile."""
    await world.publish(alice={"Trash": 1})
    pods = world.pod(batch_messages=3), world.pod(batch_messages=4)
    await fill(pods[0], 30)
    world.time.time += 3 * DAY
    before = expired()
    held = await account(pods[1])

    async def client() -> None:
        await held.move(held.mailbox("Trash"), [20, 21, 25], "Archive")
        await held.append("Trash", [NewMessage(b"new")])

    await asyncio.gather(*(pod.retention._round("x.test") for pod in pods), client())
    assert await uids(pods[0]) == [31]
    moved = len(await uids(pods[0], "Archive"))
    assert expired() - before == 30 - moved and moved in (0, 1, 2, 3)


@pytest.mark.parametrize("fault", ["cut", "lost"])
async def test_killed_in_the_middle_another_goes_on(world: World, fault: str) -> None:
    await world.publish(alice={"Trash": 1}, bob={"Trash": 1})
    doomed, other = world.pod(faulty=True, batch_messages=2), world.pod()
    for name in ("alice", "bob"):
        await fill(other, 5, name=name)
    world.time.time += 3 * DAY
    doomed.store.objects.script.extend(["", fault])  # type: ignore[attr-defined]  # a batch, and the next one's fate

    stopped = asyncio.Event()

    async def killed() -> None:
        stopped.set()
        await asyncio.Event().wait()

    doomed.store.objects.script.append(killed)  # type: ignore[attr-defined]
    round_ = asyncio.ensure_future(doomed.retention.look())
    await stopped.wait()
    round_.cancel()
    assert len(await uids(other)) < 5 and await uids(other, name="bob") == [1, 2, 3, 4, 5]
    await other.retention.look()
    assert await uids(other, name="bob") == [1, 2, 3, 4, 5], "it may be at it still"
    world.time.time += 3601
    await other.retention.look()
    assert (await uids(other), await uids(other, name="bob")) == ([], [])


@pytest.mark.parametrize(("change", "first"), [({}, 4), ({"Trash": 60}, 5), (None, 6)])
async def test_a_policy_that_was_removed_deletes_nothing_more(
    world: World, change: dict[str, int] | None, first: int
) -> None:
    """Between two commits of one mailbox, at every third point where the pod reads or writes the bucket."""
    for requests in range(first, 60, 3):
        await world.publish(alice={"Trash": 1})
        setting = world.pod()
        held = await account(setting)
        await held.expunge(held.mailbox("Trash"), list(held.mailbox("Trash").uids))
        await fill(setting, 2)
        world.time.time += 40 * DAY
        pod = world.pod(batch_messages=1)
        stop = _after(pod, requests)
        round_ = asyncio.ensure_future(pod.retention._round("x.test"))
        await asyncio.wait([round_, stop], return_when=asyncio.FIRST_COMPLETED)
        if round_.done():
            assert await uids(setting) == []
            stop.cancel()
            return
        left, gate = await uids(setting), stop.result()
        await world.publish(alice=change)
        gate.set()
        await round_
        assert len(left) - len(await uids(setting)) <= 1, "what was on its way"
    raise AssertionError("it never came to its end")


def _after(pod: Services, requests: int) -> asyncio.Future[asyncio.Event]:
    """Done when the pod sends its request of that number, which waits for the event."""
    reached: asyncio.Future[asyncio.Event] = asyncio.get_running_loop().create_future()
    count, inner = 0, pod.store.objects

    class Gate:
        def __getattr__(self, name: str) -> Callable[..., object]:
            request = getattr(inner, name)

            async def call(*args: object, **named: object) -> object:
                nonlocal count
                count += 1
                if count == requests:
                    gate = asyncio.Event()
                    reached.set_result(gate)
                    await gate.wait()
                return await request(*args, **named)

            return call

    pod.store.objects = pod.directory._objects = Gate()  # type: ignore[assignment]
    return reached


async def test_a_mailbox_at_a_time(world: World) -> None:
    """A round deletes so much of a mailbox, in commits of so many, and the rest on the next day."""
    await world.publish(alice={"Trash": 1, "Junk": 1})
    pod = world.pod(batch_messages=4, mailbox_messages=10)
    await fill(pod, 7)
    await fill(pod, 7, "Junk")
    world.time.time += 3 * DAY
    head = (await account(pod)).head
    await pod.retention.look()
    assert (await uids(pod), await uids(pod, "Junk")) == ([], [4, 5, 6, 7])
    assert (await account(pod)).head == head + 3
    world.time.time += DAY
    await pod.retention.look()
    assert await uids(pod, "Junk") == []


async def test_clocks_that_are_wrong_delete_nothing_early(world: World) -> None:
    await world.publish(alice={"Trash": 30})
    right = world.pod()
    await fill(right, 1)
    behind, ahead = FakeClock(1.0), FakeClock(world.time.time + 400 * DAY)
    for clock in (behind, ahead):
        await fill(world.pod(clock=clock), 1)
    for clock in (behind, ahead):
        await world.pod(clock=clock).retention.look()
        world.time.time += DAY
    assert await uids(right) == [1, 2, 3]
    world.time.time += 30 * DAY
    await right.retention.look()
    assert await uids(right) == [3]
    world.time.time += 401 * DAY
    await right.retention.look()
    assert await uids(right) == []


async def test_a_mailbox_that_fails_keeps_no_other_and_is_tried_again(world: World) -> None:
    await world.publish(alice={"Trash": 1}, bob={"Trash": 1})
    pod = world.pod()
    for name in ("alice", "bob"):
        await fill(pod, 1, name=name)
    world.time.time += 3 * DAY
    head = (await account(pod)).head
    damaged = f"{(await account(pod)).prefix}log/{head + 1:020d}"
    await world.bucket.create(damaged, [b"{}\n"])
    for claims in (1, 2, 3, 3):
        await world.pod().retention.look()
        world.time.time += 3601
        assert len(await world.bucket.list("retention/")) == claims
    assert await uids(pod, name="bob") == []
    with pytest.raises(MailError):
        await uids(pod)
