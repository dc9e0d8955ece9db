"""A FakeKube with its bucket, and operators that run on it one after the other: for tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.operator.fakekube import FakeKube
from tests.operator.plane import FakeParts, FakePlane, make_operator

from mailoperator import conditions as c
from mailoperator.context import API
from mailoperator.gather import condition_of
from mailoperator.operator import Operator


class Cluster:
    """A FakeKube with its bucket, and operators that run on it one after the other."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.plane, self.parts = FakePlane(self.kube), FakeParts()

    async def run(self, during: Callable[[Operator], Awaitable[None]] | None = None, **settings: Any) -> Operator:
        """One process, until it has nothing more to do."""
        operator = make_operator(self.kube, self.plane, self.parts, **settings)
        task = asyncio.create_task(operator.run())
        try:
            await self.settle(operator, task)
            if during is not None:
                await during(operator)
                await self.settle(operator, task)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        return operator

    async def settle(self, operator: Operator, task: asyncio.Task[None]) -> None:
        """Tell it what a watch would, until nothing follows from it."""
        before = -1
        while before != self.kube.writes or not operator.ready:
            before = self.kube.writes
            for raw in list(self.kube.objects.values()):
                if raw["kind"] in ("MailDomain", "Mailbox", "Deployment", "Service"):
                    operator.see("MODIFIED", raw)
            for kind in ("MailDomain", "Mailbox"):
                for key in operator.context.world.keys(kind):
                    gone = operator.context.world.get(kind, key)
                    if (API, kind, *key) not in self.kube.objects and gone is not None:
                        operator.see("DELETED", gone)
            for _ in range(20):
                await asyncio.sleep(0)
            await asyncio.wait_for(operator.settled(), 10)
            if task.done():
                task.result()

    def condition(self, kind: str, name: str, type: str = c.READY) -> c.Condition:
        found = condition_of(self.kube.objects[API, kind, "n", name], type)
        assert found is not None
        return found

    def has_available_pods(self, name: str) -> None:
        deployment = self.kube.objects["apps/v1", "Deployment", "n", name]
        count = deployment["spec"].get("replicas", 1)
        deployment["status"] = {
            "observedGeneration": 99,
            "replicas": count,
            "updatedReplicas": count,
            "availableReplicas": count,
        }
        deployment["metadata"]["resourceVersion"] = str(int(deployment["metadata"]["resourceVersion"]) + 1000)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()
