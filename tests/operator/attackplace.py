"""A cluster, its bucket and its operators, for tests of attacks: a real Publisher writes, a real Directory reads."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import pytest
from tests.mailpod.clocks import Later
from tests.operator.fakekube import FakeKube
from tests.operator.plane import FakeParts, FakePlane, domain, mailbox

from mailoperator import conditions as c
from mailoperator.context import API
from mailoperator.directorysync import DirectorySync
from mailoperator.gather import condition_of
from mailoperator.leader import Leader
from mailoperator.model import MailDomain
from mailoperator.operator import Operator
from mailoperator.settings import OperatorSettings
from mailoperator.world import World
from mailpod.directory import Directory, Entry, public_key
from mailpod.store.memory import MemoryObjects

Raw: TypeAlias = dict[str, Any]
KEY = b"k" * 32


class ShortKube(FakeKube):
    """Its lists leave out what `hidden` says; to a GET everything is there."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], Awaitable[None]] | None = None  # once, between a list of Mailboxes and its answer
        self.hidden: Callable[[Raw], bool] = lambda raw: False
        self.slow = ""  # a GET of this name takes a while

    async def get(self, api_version: str, kind: str, namespace: str | None, name: str) -> Raw | None:
        if name == self.slow:
            await asyncio.sleep(0.1)
        return await super().get(api_version, kind, namespace, name)

    async def list(self, api_version: str, kind: str, namespace: str | None, *, labels: str = "") -> list[Raw]:
        found = await super().list(api_version, kind, namespace, labels=labels)
        if kind == "Mailbox" and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return [raw for raw in found if not self.hidden(raw)]


class BucketPlane(FakePlane):
    """One bucket for all hosts, with the code that a real one has."""

    def __init__(self, kube: FakeKube, objects: MemoryObjects, clock: Later) -> None:
        super().__init__(kube)

        async def yes() -> bool:
            return True

        self.sync = DirectorySync(
            objects, signing_key=KEY, clock=clock, rng=random.Random(1), grace=3600, holds_claim=yes
        )

    async def publish(
        self, host: MailDomain, entries: Sequence[Entry], living: Callable[[str], bool], planned: float
    ) -> list[tuple[str, str]]:
        return list((await self.sync.publish_one(entries, living, planned)).conflicts)

    async def withdraw(self, host: MailDomain, owner: str, entries: Sequence[Entry]) -> None:
        await self.sync.withdraw(owner, entries)

    async def compare(
        self,
        host: MailDomain,
        entries: Sequence[Entry],
        approved: str | None,
        living: Callable[[str], bool],
        planned: float,
    ) -> str | None:
        done = await self.sync.compare(entries, approved, living, planned)
        return str(done.brake) if done.brake else None

    async def close(self, host: MailDomain, domain: str, local: str, owner: str) -> None:
        await self.sync.close(domain, local, owner)


class Place:
    """A cluster, its bucket, and operators one after the other."""

    def __init__(self) -> None:
        self.kube, self.clock = ShortKube(), Later()
        self.objects = MemoryObjects(self.clock)

    @contextlib.asynccontextmanager
    async def operator(self) -> AsyncIterator[Operator]:
        """One process, when it has done all that there is to do."""
        settings = OperatorSettings(pod_name="one", namespace="system", sweep_seconds=3600)
        leader = Leader(self.kube, namespace="system", name="lease", identity="one", seconds=10**6, clock=self.clock)
        parts = FakeParts()
        operator = Operator(
            self.kube, settings, self.clock, leader=leader, world=World(),
            plane=BucketPlane(self.kube, self.objects, self.clock), keys=parts, dns=parts, passwords=parts,
        )  # fmt: skip
        task = asyncio.create_task(operator.run())
        try:
            await leader.wait()
            while not operator.ready:  # noqa: ASYNC110
                await asyncio.sleep(0)
            await asyncio.wait_for(operator.settled(), 20)
            yield operator
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        lease = self.kube.objects["coordination.k8s.io/v1", "Lease", "system", "lease"]
        lease["spec"]["holderIdentity"] = ""

    async def run(self) -> None:
        """One process that sweeps a second time, when a minute has passed: what is younger is left alone."""
        async with self.operator() as operator:
            self.clock.ahead += 61
            await operator.sweep()
            await asyncio.wait_for(operator.settled(), 20)

    def pod(self) -> Directory:
        return Directory(self.objects, public_keys=[public_key(KEY)], clock=self.clock)

    async def owner(self, address: str) -> str:
        """The uid of the Mailbox that mail for an address goes to, as a new pod sees it."""
        found = await self.pod().lookup(address)
        return found.owner if found else ""

    def uid(self, name: str, kind: str = "Mailbox") -> str:
        return str(self.kube.objects[API, kind, "n", name]["metadata"]["uid"])

    def condition(self, name: str, type: str, kind: str = "Mailbox") -> c.Condition:
        found = condition_of(self.kube.objects[API, kind, "n", name], type)
        assert found is not None
        return found

    async def contents(self) -> dict[str, bytes]:
        return {each.key: await self.objects.get(each.key) for each in await self.objects.list("directory/")}


@pytest.fixture
def place() -> Place:
    return Place()


def names(count: int) -> list[str]:
    return [f"m{number:02}" for number in range(count)]


def addresses(contents: dict[str, bytes]) -> dict[str, bytes]:
    return {key: data for key, data in contents.items() if key.endswith("/address")}


async def inhabited(place: Place, boxes: Sequence[str] = ("alice", "bob")) -> None:
    place.kube.user_applies(domain("d", "d.test"), *(mailbox(name, "d") for name in boxes))
    await place.run()
    for name in boxes:
        assert await place.owner(f"{name}@d.test") == place.uid(name)
