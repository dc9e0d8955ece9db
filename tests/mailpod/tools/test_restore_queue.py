"""The queue as it was: what is gone comes back on hold, with all that is known of it, and nothing is sent by itself."""

from __future__ import annotations

import random

import pytest
from tests.mailpod.smtp.server import Bucket, Server, make_services
from tests.mailpod.store.faults import FakeClock

from mailpod import cli
from mailpod.errors import Unavailable
from mailpod.store.memory import MemoryObjects
from mailpod.store.objects import StorageError
from mailpod.store.outbound import Outbound, SpoolEntry, Standing
from mailpod.store.outcome import Outcome
from mailpod.store.requeueing import requeue

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"
FAR, OTHER = "me@far.example", "you@far.example"


class World:
    """`live` is the bucket; `ever` has everything that there ever was, `past` what there was when the test said."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.live, self.ever, self.past = (MemoryObjects(self.clock) for _ in range(3))
        self.queue = self.outbound(self.live)

    def outbound(self, objects: MemoryObjects) -> Outbound:
        return Outbound(objects, clock=self.clock, rng=random.Random(1))

    async def wait(self, entry_id: str, *recipients: str) -> None:
        entry = SpoolEntry(entry_id, "a@x.test", recipients or (FAR,), 0.0, outward=True)
        await self.queue.create(entry, MESSAGE)
        await self.keep()

    async def keep(self) -> None:
        """The bucket keeps a version of each object."""
        for entry in await self.live.list(""):
            await self.ever.put(entry.key, [await self.live.get(entry.key)])

    async def now(self) -> None:
        """This is the time to which the queue will be restored."""
        await self.keep()
        for entry in await self.live.list(""):
            await self.past.put(entry.key, [await self.live.get(entry.key)])

    async def standing(self, entry_id: str) -> Standing:
        return await self.queue.standing(entry_id)

    async def restore(self) -> tuple[list[str], list[str], list[str]]:
        done = await requeue(self.live, self.past, self.ever, clock=self.clock, rng=random.Random(2))
        await self.keep()
        return done.held, done.settled, done.there


@pytest.fixture
def world() -> World:
    return World()


async def test_what_was_dropped_is_back_on_hold_and_only_that(world: World) -> None:
    for entry_id in ("1-dropped", "2-there", "3-relayed"):
        await world.wait(entry_id)
    await world.now()
    await world.wait("4-later")
    await world.queue.settle("1-dropped")
    await world.queue.settle("3-relayed", alone=True)
    assert await world.restore() == (["1-dropped", "3-relayed"], [], ["2-there"])
    for entry_id in ("1-dropped", "3-relayed"):
        assert (await world.standing(entry_id)).held
        read = await world.queue.read(entry_id)
        assert read is not None and read[1] == MESSAGE
    assert not (await world.standing("2-there")).held and not (await world.standing("4-later")).held
    assert await world.restore() == ([], [], ["1-dropped", "2-there", "3-relayed"]), "again: nothing is left to do"


async def test_who_had_it_does_not_get_it_again(world: World) -> None:
    """What is known of an attempt comes along, also of one after the time that is restored."""
    await world.wait("1-some", FAR, OTHER)
    await world.wait("2-all", FAR, OTHER)
    await world.now()
    for entry_id, others in (("1-some", "delayed"), ("2-all", "failed")):
        assert await world.queue.claim(entry_id, 1, "pod")
        await world.queue.record(entry_id, 1, {FAR: Outcome("relayed"), OTHER: Outcome(others)})
        await world.queue.mark(entry_id, "noticed", 1)
        await world.queue.mark(entry_id, "retry", 1)
        await world.queue.mark(entry_id, "hold", 1)
        await world.queue.mark(entry_id, "release", 1)
        await world.keep()
        await world.queue.settle(entry_id)
    assert await world.restore() == (["1-some"], ["2-all"], [])
    standing = await world.standing("1-some")
    assert (standing.last, standing.noticed, standing.holds, standing.retries) == (1, {1}, {2}, set())
    assert {one: outcome.action for one, outcome in (await world.queue.results(standing))[1].items()} == {
        FAR: "relayed",
        OTHER: "delayed",
    }


async def test_settled_or_held_at_the_time(world: World) -> None:
    await world.wait("1-held")
    await world.queue.mark("1-held", "hold", 1)
    await world.wait("2-settled")
    await world.queue.mark("2-settled", "hold", 1)
    await world.live.create("outbound/2-settled/done", [b"{}\n"])
    await world.now()
    for entry_id in ("1-held", "2-settled"):
        await world.queue.settle(entry_id)
    assert await world.restore() == (["1-held"], [], [])
    assert (await world.standing("1-held")).holds == {2}


class Clearing(MemoryObjects):
    """A bucket whose pods take what has no message for garbage, as soon as it is there, `times` times."""

    times = 1

    async def create(self, key: str, data: object) -> None:
        await super().create(key, data)  # type: ignore[arg-type]
        if "/hold-" in key and self.times:
            self.times -= 1
            await self.delete([key])


async def test_a_pod_clears_the_hold_before_the_message_is_there(world: World) -> None:
    await world.wait("1-dropped")
    await world.now()
    world.live = Clearing(world.clock)
    world.queue = world.outbound(world.live)
    assert (await world.restore())[0] == ["1-dropped"]
    assert (await world.standing("1-dropped")).held
    world.live.times = 99
    await world.queue.settle("1-dropped")
    with pytest.raises(StorageError):
        await world.restore()
    assert (await world.standing("1-dropped")).message is None, "never without its hold"


async def test_a_mailbox_here_does_not_get_it_twice(world: World) -> None:
    """The id is the same, and so are the delivery ids."""
    bucket = Bucket()
    services = await make_services(bucket, queue={"takeover_seconds": 0.01, "sweep_seconds": 0.05, "retry_first": 0.01})
    entry = SpoolEntry(services.spool.new_id(), "a@far.example", ("alice@example.com", "bob@example.com"), 0.0)
    past = MemoryObjects()
    await Outbound(past, clock=world.clock, rng=random.Random(1)).create(entry, MESSAGE)
    await services.spool.accept(entry, MESSAGE)
    await services.spool.idle()
    done = await requeue(bucket, past, past, clock=world.clock, rng=random.Random(2))
    assert done.held == [entry.id]
    outbound = services.spool.outbound
    await outbound.mark(entry.id, "release", 1)
    services.spool.start()
    for _ in range(500):
        if (await outbound.standing(entry.id)).message is None:
            break
        await services.clock.sleep(0.01)
    else:
        raise AssertionError("it was not handed out")
    await services.spool.stop()
    assert [len(await Server(services, bucket, 0).inbox(f"{name}@example.com")) for name in ("alice", "bob")] == [1, 1]


async def test_written_for_newer_pods(world: World) -> None:
    await world.live.create(
        "outbound/1-new/message", [b'{"id":"1-new","sender":"","recipients":[],"created":0,"format":9}\n']
    )
    await world.now()
    await world.live.delete(["outbound/1-new/message"])
    with pytest.raises(Unavailable):
        await world.restore()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--queue", "--last-consistent"], "--queue with --to"),
        (["--queue", "a@x.test", "--to", "2026-11-23T18:00:00Z"], "an ADDRESS, or --queue"),
        (["--to", "2026-11-23T18:00:00Z"], "an ADDRESS, or --queue"),
        (["--queue", "--to", "2020-01-01T00:00:00Z"], "the last 20 days"),
        (["--queue", "--to", "2999-01-01T00:00:00Z"], "a folder keeps no versions"),
    ],
)
def test_what_cannot_be(
    arguments: list[str], said: str, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path_factory.mktemp("bucket")
    assert cli.main(["restore", *arguments, "--bucket", str(folder)]) == 2
    assert said in capsys.readouterr().err
