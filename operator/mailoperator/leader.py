"""Who may write: one operator, the holder of a Lease (OPERATOR.md rule 17).

The holder stops believing in itself well before anyone else may take the Lease: it counts two thirds of the duration
from when its last renewal was sent, another the whole of it from when it saw that renewal, each by its own elapsed
time. So clocks need not agree, and a partitioned holder falls silent first.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias

from mailoperator.kube import ApiError
from mailpod.clock import Clock
from mailpod.logs import event

Raw: TypeAlias = dict[str, Any]
_API: Final = ("coordination.k8s.io/v1", "Lease")


class NotLeading(Exception):
    """A write was about to be made by an operator that does not hold the Lease."""


class LeaseApi(Protocol):
    """What of Kube is needed."""

    async def get(self, api_version: str, kind: str, namespace: str | None, name: str) -> Raw | None: ...
    async def create(self, obj: Raw) -> Raw: ...
    async def update(self, obj: Raw) -> Raw: ...


class Leader:
    """One candidate. `identity` must be another's never: a container that restarts in its pod keeps its name."""

    def __init__(self, api: LeaseApi, *, namespace: str, name: str, identity: str, seconds: int, clock: Clock) -> None:
        self._api, self._clock = api, clock
        self._namespace, self._name, self._identity, self._seconds = namespace, name, identity, seconds
        self._held_until = float("-inf")
        self._seen: tuple[object, float] = (None, float("-inf"))  # renewal by another, and when it was first seen
        self._held = asyncio.Event()

    @property
    def is_leading(self) -> bool:
        return self._clock.elapsed() < self._held_until

    def check(self) -> None:
        """To be called before every write. Raises NotLeading."""
        if not self.is_leading:
            raise NotLeading

    async def wait(self) -> None:
        """Until this one leads."""
        while not self.is_leading:
            self._held.clear()
            await self._held.wait()

    async def run(self, gained: Callable[[], None]) -> None:
        """Hold the Lease, or wait for it, until cancelled. `gained` is called whenever it was won."""
        while True:
            before = self.is_leading
            try:
                await self.renew()
            except ApiError as error:
                event("leader.renewal_failed", level="warning", error=str(error))
            if self.is_leading != before:
                event("leader.gained" if self.is_leading else "leader.lost", identity=self._identity)
            if self.is_leading and not before:
                gained()
            await self._clock.sleep(self._seconds / 5)

    async def renew(self) -> None:
        """One attempt to take the Lease, or to keep it. Raises ApiError."""
        sent = self._clock.elapsed()
        lease = await self._api.get(*_API, self._namespace, self._name)
        try:
            if lease is None:
                await self._api.create(self._lease(None))
            elif self._may_take(lease):
                await self._api.update(self._lease(lease))
            else:
                return
        except ApiError as error:
            if error.status == 409:  # another was faster; the next look tells who
                return
            raise
        self._held_until = sent + self._seconds * 2 / 3
        self._held.set()

    async def release(self) -> None:
        """Give the Lease up, so that the next one need not wait. Raises ApiError."""
        self._held_until = float("-inf")
        lease = await self._api.get(*_API, self._namespace, self._name)
        if lease is not None and (lease.get("spec") or {}).get("holderIdentity") == self._identity:
            await self._api.update({**lease, "spec": {**lease["spec"], "holderIdentity": ""}})

    def _may_take(self, lease: Raw) -> bool:
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder in ("", self._identity):
            return True
        renewal = (holder, spec.get("renewTime"), lease["metadata"].get("resourceVersion"))
        now = self._clock.elapsed()
        if renewal != self._seen[0]:
            self._seen = (renewal, now)
        duration = max(self._seconds, int(spec.get("leaseDurationSeconds") or 0))
        return now - self._seen[1] > duration

    def _lease(self, before: Raw | None) -> Raw:
        """`before` as held by this one now; its resourceVersion makes the update conditional."""
        spec = dict((before or {}).get("spec") or {})
        moment = datetime.datetime.fromtimestamp(self._clock.now(), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if spec.get("holderIdentity") != self._identity:
            spec["acquireTime"] = moment
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (1 if before else 0)
        spec |= {"holderIdentity": self._identity, "leaseDurationSeconds": self._seconds, "renewTime": moment}
        metadata = before["metadata"] if before else {"name": self._name, "namespace": self._namespace}
        return {"apiVersion": _API[0], "kind": _API[1], "metadata": metadata, "spec": spec}
