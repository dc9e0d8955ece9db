"""One operator, without its watches: memory, queue, Lease, sweep, and the parts that reconciliations ask.

- Nothing is written before the Lease is held and everything was listed once: half a world would look like deletions.
- One sweep for all, no timer an object. It lists completely, so that what the watches missed is mended.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final, TypeAlias

from mailoperator import conditions as c
from mailoperator import metrics
from mailoperator.context import API, Context, Dns, Job, Keys, KubeApi, Passwords, Plane
from mailoperator.events import Events
from mailoperator.gather import holds
from mailoperator.handlers import everything, seen
from mailoperator.keyedqueue import KeyedQueue, Retry, Turn
from mailoperator.kube import ApiError
from mailoperator.leader import Leader, NotLeading
from mailoperator.reconcile_directory import reconcile_directory
from mailoperator.reconcile_domain import reconcile_domain
from mailoperator.reconcile_mailbox import reconcile_mailbox
from mailoperator.settings import OperatorSettings
from mailoperator.world import TLS_SECRET, Key, World, key_of
from mailpod.clock import Clock
from mailpod.logs import event

Raw: TypeAlias = dict[str, Any]
USE_LABEL: Final = "mailpod.dev/use"
_LISTED: Final = ((API, "MailDomain", ""), (API, "Mailbox", ""), ("v1", "Secret", USE_LABEL))
_RETRY_SECONDS: Final = 2.0


class Operator:
    """Give it what is seen (`see`), and `run` it."""

    def __init__(
        self,
        kube: KubeApi,
        settings: OperatorSettings,
        clock: Clock,
        *,
        leader: Leader,
        world: World,
        plane: Plane,
        keys: Keys,
        dns: Dns,
        passwords: Passwords,
    ) -> None:
        self._queue: KeyedQueue[Job] = KeyedQueue(self._work, limit=settings.workers)
        self._leader, self._kube, self._settings, self._clock = leader, kube, settings, clock
        self._hurry = asyncio.Event()
        self._swept = False
        self._listed = asyncio.Event()  # before it, who is not seen may be there all the same
        self.context = Context(
            kube=kube,
            world=world,
            settings=settings,
            clock=clock,
            leader=leader,
            events=Events(kube, clock),
            plane=plane,
            keys=keys,
            dns=dns,
            passwords=passwords,
            enqueue=self._queue.add,
            see=self.see,
        )
        metrics.WAITING.set_function(lambda: len(self._queue))
        metrics.FAILING.set_function(lambda: len(self._queue.waiting()))
        metrics.LEADING.set_function(lambda: leader.is_leading)

    @property
    def ready(self) -> bool:
        """Whether it has looked at everything, or waits for its turn to."""
        return self._swept or not self._leader.is_leading

    def see(self, type: str | None, raw: Raw) -> None:
        """An event of a watch."""
        changed = type in ("MODIFIED", "DELETED")
        for job in seen(self.context.world, type, raw):
            itself = raw["kind"] in ("Secret", TLS_SECRET) or job == (raw["kind"], key_of(raw))
            self._queue.add(job, turn=Turn.CHANGED if changed and itself else Turn.NEW)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._leader.run(self._hurry.set))
            group.create_task(self.context.events.run())
            group.create_task(self._queue.run())
            group.create_task(self._sweeps())

    async def stop(self) -> None:
        """After `run` was cancelled: let the next one begin at once."""
        with contextlib.suppress(ApiError):
            await self._leader.release()

    async def settled(self) -> None:
        """Wait until nothing is due now."""
        await self._queue.settled()

    async def sweep(self) -> None:
        """List everything and look at it; Mailboxes that are as they should be only at the first. Raises ApiError."""
        world = self.context.world
        namespaces: list[str | None] = [*self._settings.watch_namespaces] or [None]
        for namespace in namespaces:
            for version, kind, labels in _LISTED:
                found = await self._kube.list(version, kind, namespace, labels=labels)
                world.replace(kind, found, within=lambda key, space=namespace: space in (None, key[0]))  # type: ignore[misc]
        world.swept()
        self._listed.set()
        for job in everything(world):
            if job[0] != "Mailbox" or not self._swept or not _is_settled(world.get("Mailbox", job[1])):
                self._queue.add(job, turn=Turn.SWEPT)
        self._swept = True
        metrics.SWEPT.inc()
        metrics.SWEPT_AT.set(self._clock.now())

    async def _sweeps(self) -> None:
        while True:
            await self._leader.wait()
            self._hurry.clear()
            wait = self._settings.sweep_seconds
            try:
                await self.sweep()
            except ApiError as error:
                event("sweep.failed", level="warning", error=str(error))
                wait = _RETRY_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), wait)

    async def _work(self, job: Job) -> float | None:
        await self._leader.wait()
        await self._listed.wait()
        kind, key = job
        try:
            with metrics.RECONCILE_SECONDS.labels(kind).time():
                delay = await self._reconcile(kind, key)
        except NotLeading:
            metrics.RECONCILED.labels(kind, "not-leading").inc()
            raise Retry(1.0, "the Lease was lost") from None
        except ApiError as error:
            metrics.RECONCILED.labels(kind, "failed").inc()
            if error.status in (404, 409):  # changed or gone meanwhile: the watch tells, and the next look sees it
                raise Retry(1.0, str(error)) from None
            raise
        except Exception:
            metrics.RECONCILED.labels(kind, "failed").inc()
            raise
        metrics.RECONCILED.labels(kind, "done").inc()
        return delay

    async def _reconcile(self, kind: str, key: Key) -> float | None:
        match kind:
            case "MailDomain":
                return await reconcile_domain(self.context, key)
            case "Mailbox":
                return await reconcile_mailbox(self.context, key)
            case _:
                return await reconcile_directory(self.context, key)


def _is_settled(raw: Raw | None) -> bool:
    """Whether a Mailbox is as its spec says, by its status; its entry is the comparison's to mend."""
    if raw is None or raw["metadata"].get("deletionTimestamp"):
        return False
    return holds(raw, c.READY) and raw["status"].get("observedGeneration") == raw["metadata"].get("generation")
