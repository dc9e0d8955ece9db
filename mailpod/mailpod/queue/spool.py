"""Messages for several mailboxes: durable in one object, then handed out by this pod at once, by any pod later.

- Whether a message reached a mailbox is decided by its delivery id there (STORE.md rule 17): a hand-out may be repeated
  by anyone at any time, and adds nothing. Claims only spare the work.
- An entry's age is bucket time (its message against a claim just made); how long others are waited for is our own
  elapsed time since we first saw them. Nothing compares two machines' clocks.
- The queue is listed at start and every few minutes, never in a loop; what is due in between is in memory (rule 20).
"""

from __future__ import annotations

import asyncio
import heapq
import random
from typing import TYPE_CHECKING, Final

from mailpod import logs, metrics
from mailpod.errors import MailError
from mailpod.queue.handout import HandOut
from mailpod.store.outbound import Outbound, SpoolEntry, Standing

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from mailpod.services import Services

_SWEEP: Final = ""  # the due list's name for a sweep
_SOON: Final = 0.001  # seconds


class Spool:
    """One per pod. `accept` works from the beginning; `start` adds the sweeps and retries, `stop` ends them."""

    def __init__(self, services: Services, rng: random.Random | None = None) -> None:
        self._services = services
        self._rng = rng or random.Random()  # noqa: S311  ids are to be unique, not secret
        self._outbound: Outbound | None = None
        self._due: list[tuple[float, str, int]] = []  # Clock.elapsed, id, the attempts that were seen then
        self._watched: set[str] = set()  # ids in _due or being handed out
        self._tasks: set[asyncio.Task[None]] = set()
        self._first_slots: asyncio.Semaphore | None = None
        self._changed = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None

    def new_id(self) -> str:
        """A queue id: unique, and in the order of time."""
        return self.outbound.new_id()

    @property
    def outbound(self) -> Outbound:
        if self._outbound is None:
            services = self._services
            self._outbound = Outbound(services.store.objects, clock=services.clock, rng=self._rng)
        return self._outbound

    async def accept(self, entry: SpoolEntry, message: bytes) -> None:
        """Make a message durable, and hand it out in the background. Raises Unavailable."""
        await self.outbound.create(entry, message)
        self._watched.add(entry.id)
        if self._services.budget.try_take(len(message)):
            self._spawn(self._first(entry, message))
        else:
            self._again(entry.id, 0, 0.0)

    def start(self) -> None:
        """Begin to look for entries that other pods left."""
        if self._runner is None:
            self._schedule(_SWEEP, 0, 0.0)
            self._runner = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Take up nothing new and finish what is under way; cancel this to cut it short."""
        if self._runner is not None:
            self._runner.cancel()
            self._runner = None
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def idle(self) -> None:
        """Wait until no hand-out is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # what is due

    async def _run(self) -> None:
        clock, slots = self._services.clock, asyncio.Semaphore(self._services.settings.queue.parallel)
        while True:
            while self._due and self._due[0][0] <= clock.elapsed():
                _, entry_id, seen = heapq.heappop(self._due)
                await slots.acquire()
                task = self._spawn(self._sweep() if entry_id == _SWEEP else self._take_over(entry_id, seen))
                task.add_done_callback(lambda _: slots.release())
            self._changed.clear()
            # not less than a loop's timers tell apart: one that comes a hair early would come again and again
            wait = max(_SOON, self._due[0][0] - clock.elapsed()) if self._due else None
            try:
                await asyncio.wait_for(self._changed.wait(), wait)
            except TimeoutError:
                continue

    def _schedule(self, entry_id: str, seen: int, seconds: float) -> None:
        heapq.heappush(self._due, (self._services.clock.elapsed() + seconds, entry_id, seen))
        self._changed.set()

    def _again(self, entry_id: str, attempts: int, seconds: float | None = None) -> None:
        """Look at an entry of ours again, later the more attempts it had."""
        limits = self._services.settings.queue
        if seconds is None:
            seconds = min(limits.retry_first * 2 ** min(attempts, 20), limits.retry_longest)
            seconds *= self._rng.uniform(0.75, 1.25)
        self._schedule(entry_id, attempts, seconds)

    # hand-outs

    async def _first(self, entry: SpoolEntry, message: bytes) -> None:
        """The accepting pod's own attempt, without a claim."""
        if self._first_slots is None:
            self._first_slots = asyncio.Semaphore(self._services.settings.queue.parallel)
        try:
            async with self._first_slots:
                handout = HandOut(self._services, entry, message, {})
                await handout.run()
                await self._conclude(entry.id, 0, handout)
        except Exception as error:
            self._postpone(entry.id, 0, error)
        finally:
            self._services.budget.give(len(message))

    async def _take_over(self, entry_id: str, seen: int) -> None:
        """Claim an entry and hand it out, if it is as it was when it was scheduled (STORE.md rule 18)."""
        try:
            standing = await self.outbound.standing(entry_id)
            if await self._finished(standing):
                return
            if standing.last != seen:
                self._watch(standing)
                return
            number = standing.last + 1
            if not await self.outbound.claim(entry_id, number, self._services.pod_name):
                self._schedule(entry_id, number, self._services.settings.queue.claim_seconds)
                return
            await self._attempt(await self.outbound.standing(entry_id), number)
        except Exception as error:
            self._postpone(entry_id, seen, error)

    async def _attempt(self, standing: Standing, number: int) -> None:
        read = None if standing.garbage else await self.outbound.read(standing.id)
        if read is None or await self._finished(standing):
            self._watched.discard(standing.id)
            return
        entry, message = read
        budget = self._services.budget
        await budget.take(len(message))
        try:
            handout = HandOut(self._services, entry, message, await self.outbound.results(standing))
            if self._expired(standing, number):
                handout.expire()
            else:
                await handout.run()
            await self._conclude(entry.id, number, handout)
        finally:
            budget.give(len(message))

    async def _conclude(self, entry_id: str, number: int, handout: HandOut) -> None:
        if handout.failed and not handout.open:
            await self.outbound.record(entry_id, number, handout.outcomes)
            await self.outbound.give_up(entry_id, handout.failed)
            logs.event("spool.undelivered", level="error", id=entry_id, recipients=handout.failed)
        elif handout.open:
            await self.outbound.record(entry_id, number, handout.outcomes)
            self._again(entry_id, number)
            return
        else:
            await self.outbound.settle(entry_id, unclaimed=number == 0)
        self._watched.discard(entry_id)

    def _postpone(self, entry_id: str, attempts: int, error: Exception) -> None:
        if isinstance(error, MailError):
            logs.event("spool.postponed", level="warning", id=entry_id, reason=error.text)
        else:
            logs.crash("spool.crashed", error, id=entry_id)
        self._again(entry_id, attempts)

    def _expired(self, standing: Standing, number: int) -> bool:
        made, claimed = standing.message, standing.attempts.get(number)
        limit = self._services.settings.queue.lifetime_seconds
        return made is not None and claimed is not None and claimed - made > limit

    # sweeps

    async def _sweep(self) -> None:
        after, count, oldest = "", 0, 0.0
        try:
            while found := await self.outbound.standings(after):
                after = found[-1].id
                for standing in found:
                    count += not standing.garbage
                    oldest = oldest or (not standing.garbage and standing.message) or 0.0  # they come in order
                    if standing.id not in self._watched and not await self._finished(standing):
                        self._watch(standing)
            metrics.SPOOL_ENTRIES.set(count)
            metrics.SPOOL_OLDEST.set(oldest)
            metrics.SPOOL_SWEPT.set(self._services.clock.now())
        except MailError as error:
            logs.event("spool.sweep_failed", level="warning", reason=error.text)
        except Exception as error:
            logs.crash("spool.crashed", error)
        finally:
            self._schedule(_SWEEP, 0, self._services.settings.queue.sweep_seconds * self._rng.uniform(0.5, 1.5))

    def _watch(self, standing: Standing) -> None:
        """Somebody may be at it: look again when they have had their time."""
        limits = self._services.settings.queue
        self._watched.add(standing.id)
        wait = limits.claim_seconds if standing.claimed else limits.takeover_seconds
        self._schedule(standing.id, standing.last, wait)

    async def _finished(self, standing: Standing) -> bool:
        """Whether there is nothing to hand out; clears what a settled entry left behind."""
        if standing.garbage and (standing.done or standing.attempts or standing.results):
            await self.outbound.clear(standing.id)
        if standing.garbage or standing.undelivered:
            self._watched.discard(standing.id)
            return True
        return False

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
