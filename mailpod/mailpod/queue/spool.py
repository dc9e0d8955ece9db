"""The queue: messages durable in one object, then brought to their recipients by this pod at once, by any pod later.

- Whether a message reached a mailbox here is decided by its delivery id there (STORE.md rule 17): that may be repeated
  by anyone at any time, and adds nothing; claims only spare the work. Elsewhere nothing tells: an outward entry is
  attempted only under a claim that lasts (rules 18 and 19), the accepting pod's first being the entry's creation.
- An entry's age is bucket time. Nothing compares two machines' clocks.
- The queue is listed at start and every few minutes, never in a loop; what is due in between is in memory (rule 20).
- What an attempt gave is written down until the bucket takes it: a message that was sent is not sent again for want of
  a bucket.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from mailpod import logs, metrics
from mailpod.errors import MailError
from mailpod.queue.census import Census
from mailpod.queue.due import Due
from mailpod.queue.handout import HandOut
from mailpod.queue.places import Places
from mailpod.queue.reporting import Reporting
from mailpod.queue.schedule import Known, Schedule
from mailpod.queue.sorting import sort
from mailpod.relay.relay import Relay
from mailpod.store.outbound import Outbound, SpoolEntry, Standing, merged
from mailpod.store.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from mailpod.services import Services

_SWEEP: Final = ""  # the due list's name for a sweep
Results: TypeAlias = dict[int, dict[str, Outcome]]


class Spool:
    """One per pod. `accept` works from the beginning; `start` adds the sweeps and retries, `stop` ends them."""

    def __init__(self, services: Services, rng: random.Random | None = None) -> None:
        self._services = services
        self._rng = rng or random.Random()  # noqa: S311  ids are to be unique, not secret
        self._relay: Relay | None = None
        self._due = Due(services.clock)
        self._watched: dict[str, Known | None] = {}  # ids that are due, waiting or being handed out
        self._running: set[str] = set()  # ids of attempts of this pod that are not over
        self._tasks: set[asyncio.Task[None]] = set()
        self._first_slots = asyncio.Semaphore(services.settings.queue.parallel)
        self._runner: asyncio.Task[None] | None = None
        self._reporting = Reporting(services, self)

    def new_id(self) -> str:
        """A queue id: unique, and in the order of time."""
        return self.outbound.new_id()

    @cached_property
    def outbound(self) -> Outbound:
        return Outbound(self._services.store.objects, clock=self._services.clock, rng=self._rng)

    @property
    def relay(self) -> Relay:
        if self._relay is None:
            self._relay = Relay(self._services, self._rng)
        return self._relay

    @cached_property
    def _places(self) -> Places:
        services = self._services
        return Places(self.relay.destinations, self._due, services.settings.outbound, services.clock)

    @property
    def _schedule(self) -> Schedule:
        return Schedule(self._services.settings.queue, self._services.settings.outbound)

    async def accept(self, entry: SpoolEntry, message: bytes) -> None:
        """Make a message durable, and hand it out in the background. Raises Unavailable."""
        await self._accept(entry, message, once=False)

    async def accept_once(self, entry: SpoolEntry, message: bytes) -> bool:
        """`accept`, where the same entry may have been made before: False then."""
        return await self._accept(entry, message, once=True)

    def start(self) -> None:
        """Begin to look for entries that other pods left."""
        if self._runner is None:
            self._due.add(_SWEEP, 0, 0.0)
            self._runner = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Take up nothing new and finish what is under way; cancel this to cut it short.

        First attempts that wait for a place are other pods' from now on. After `queue.finish_seconds` so are attempts
        elsewhere, but for those whose final dot was sent: they wait for its answer (STORE.md rule 19).
        """
        if self._runner is not None:
            self._runner.cancel()
            self._runner = None
        self._places.stop()
        cut = asyncio.get_running_loop().call_later(self._services.settings.queue.finish_seconds, self.relay.cut)
        try:
            await self.idle()
        finally:
            cut.cancel()
        await self.relay.destinations.close()

    async def idle(self) -> None:
        """Wait until no hand-out is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # the accepting pod's part

    async def _accept(self, entry: SpoolEntry, message: bytes, *, once: bool) -> bool:
        known = await sort(entry, self._services.directory, self.relay, outward=None)
        began, budget = self._services.clock.elapsed(), self._services.budget
        held = budget.try_take(len(message))
        at_once = held and self._places.at_once(known)
        known.holder = self._services.pod_name if at_once and known.outward else ""
        entry = msgspec.structs.replace(entry, outward=known.outward, holder=known.holder)
        created = False
        try:
            if once:
                created = await self.outbound.create_once(entry, message)
            else:
                await self.outbound.create(entry, message)
                created = True
        finally:
            if held and not (created and at_once):
                budget.give(len(message))
        if not created:
            return False
        known.ours = 0
        self._watched[entry.id] = known
        if at_once:
            self._spawn(self._first(entry, message, known, began))
        else:
            self._due.add(entry.id, 0, 0.0)
        return True

    async def _first(self, entry: SpoolEntry, message: bytes, known: Known, began: float) -> None:
        """The accepting pod's own attempt, without a claim or by the one that is the entry's creation."""
        self._running.add(entry.id)
        places = await self._places.first(entry.id, known)
        handout = self._hand_out(entry, message, {}, places, began)
        try:
            if known.destinations and not places and not known.local:  # not begun: whoever has room may
                await self.outbound.record(entry.id, 0, {})
                await self.outbound.mark(entry.id, "retry", 0)
                known.rest = True
                self._due.add(entry.id, 0, 0.0)
                return
            if places:
                await handout.run()
            else:
                async with self._first_slots:
                    await handout.run()
            await self._conclude(Standing(entry.id), 0, handout, {})
        except Exception as error:
            self._postpone(entry.id, 0, error)
        finally:
            self._running.discard(entry.id)
            handout.leave()
            self._services.budget.give(len(message))

    # what is due

    async def _run(self) -> None:
        slots = asyncio.Semaphore(self._services.settings.queue.parallel)
        while True:
            entry_id, seen = await self._due.next()
            await slots.acquire()
            task = self._spawn(self._sweep() if entry_id == _SWEEP else self._take_over(entry_id, seen))
            task.add_done_callback(lambda _: slots.release())

    async def _take_over(self, entry_id: str, seen: int) -> None:
        """Claim an entry and attempt it, if it is as it was when it was scheduled (STORE.md rule 18)."""
        try:
            standing = await self.outbound.standing(entry_id)
            woken, known = self._watched.get(entry_id), await self._look(standing, seen)
            if known is None:
                for name in woken.destinations if woken else ():
                    self._places.on_room(name)  # the place that this one was woken for, if it was, is the next one's
                return
            places = self._places.enter(known)
            if known.destinations and not places and not known.local:
                self._places.wait(entry_id, seen, known)
                return
            await self._claim(standing, known, places)
        except Exception as error:
            self._postpone(entry_id, seen, error)

    async def _look(self, standing: Standing, seen: int) -> Known | None:
        """What is known of an entry that may be claimed now; None if it may not, which is then seen to."""
        if standing.id in self._running or await self._finished(standing):
            return None
        if standing.last != seen:
            self._watch(standing)
            return None
        known = self._watched.get(standing.id) or await self._learn(standing.id)
        if known is None:
            self._forget(standing.id)
            return None
        if known.outward:
            wait = self._schedule.patience(standing, known, await self.outbound.now())
            if wait > 0:
                self._due.add(standing.id, seen, wait)
                return None
        return known

    async def _claim(self, standing: Standing, known: Known, places: Collection[str]) -> None:
        number, began = standing.last + 1, self._services.clock.elapsed()
        try:
            claimed = await self.outbound.claim(standing.id, number, self._services.pod_name)
        except BaseException:
            self._places.leave(places)
            raise
        if not claimed:
            self._places.leave(places)
            self._due.add(standing.id, number, self._schedule.claim(outward=False))
            return
        unended = standing.claimed or bool(known.holder and not standing.attempts and not standing.results)
        if known.outward and unended and known.ours != standing.last:
            # an attempt that nobody ended: what it sent is not known
            metrics.OUTBOUND_UNCERTAIN.inc()
            logs.event("spool.taken_over", level="warning", id=standing.id, attempt=number)
        known.ours, known.rest = number, False
        self._running.add(standing.id)
        if places:  # other servers may take minutes, which is not for this queue's slots
            self._spawn(self._attempt(standing.id, number, places, began))
        else:
            await self._attempt(standing.id, number, places, began)

    async def _attempt(self, entry_id: str, number: int, places: Collection[str], began: float) -> None:
        taken, handout = 0, None
        try:
            standing = await self.outbound.standing(entry_id)
            read = None if standing.garbage else await self.outbound.read(entry_id)
            if read is None or await self._finished(standing):
                self._forget(entry_id)
                return
            entry, message = read
            results = await self.outbound.results(standing)
            await self._services.budget.take(len(message))
            taken = len(message)
            handout = self._hand_out(entry, message, merged(results), places, began)
            if self._age(standing, number) > self._limit(entry):
                handout.expire()
            else:
                await handout.run()
            await self._conclude(standing, number, handout, results)
        except Exception as error:
            self._postpone(entry_id, number, error)
        finally:
            self._running.discard(entry_id)
            if handout is None:
                self._services.budget.give(taken)
                self._places.leave(places)
            else:
                handout.leave()
                self._services.budget.give(taken)

    # what came of it

    async def _conclude(self, standing: Standing, number: int, handout: HandOut, results: Results) -> None:
        """Write down what attempt `number` gave; `standing` and `results` are the entry's from before it."""
        tries = 0
        while True:
            try:
                await self._write_down(standing, number, handout, results)
            except MailError as error:
                logs.event("spool.not_written", level="warning", id=standing.id, reason=error.text)
            else:
                break
            # an attempt here is soon made again; one elsewhere must not be
            if not handout.entry.outward:
                self._again(standing.id, number, outward=False)
                return
            handout.leave()
            tries += 1
            await self._services.clock.sleep(min(self._services.settings.queue.retry_first * tries, 60.0))
        if not handout.open:
            self._forget(standing.id)
        elif handout.left_out and (known := self._watched.get(standing.id)):
            known.rest = True
            self._due.add(standing.id, number, 0.0)
        else:
            self._again(standing.id, number, outward=handout.entry.outward)

    async def _write_down(self, standing: Standing, number: int, handout: HandOut, results: Results) -> None:
        entry, reporting, age = handout.entry, self._reporting, self._age(standing, number)
        tell = reporting.needed(entry, handout.new)
        if handout.open or tell:
            await self.outbound.record(entry.id, number, handout.new)
        if handout.cut:  # whoever has time may
            await self.outbound.mark(entry.id, "retry", number)
        for earlier, outcomes in results.items():  # which whoever made them may not have told
            if earlier not in standing.noticed and reporting.needed(entry, outcomes):
                await reporting.final(entry, handout.message, earlier, outcomes)
        if tell:
            await reporting.final(entry, handout.message, number, handout.new)
        if not handout.open:
            await self.outbound.settle(entry.id, alone=number == 0 and not tell)
        elif not standing.delayed and age > self._services.settings.outbound.delay_notice:
            retry_until = self._services.clock.now() + self._limit(entry) - age
            await reporting.waiting(entry, handout.message, handout.outcomes, retry_until)

    def _postpone(self, entry_id: str, attempts: int, error: Exception) -> None:
        if isinstance(error, MailError):
            logs.event("spool.postponed", level="warning", id=entry_id, reason=error.text)
        else:
            logs.crash("spool.crashed", error, id=entry_id)
            if known := self._watched.get(entry_id):
                known.ours = -1  # what it did is not known
        self._again(entry_id, attempts, outward=False)

    def _again(self, entry_id: str, attempts: int, *, outward: bool) -> None:
        """Look at an entry of ours again, later the more attempts it had."""
        self._due.add(entry_id, attempts, self._schedule.retry(entry_id, attempts, outward=outward))

    def _age(self, standing: Standing, number: int) -> float:
        made, claimed = standing.message, standing.attempts.get(number)
        return 0.0 if made is None or claimed is None else claimed - made

    def _limit(self, entry: SpoolEntry) -> float:
        known = self._watched.get(entry.id)
        return self._schedule.limit(entry, local=known is None or known.local)

    # sweeps

    async def _sweep(self) -> None:
        after, census = "", Census()
        try:
            while found := await self.outbound.standings(after):
                after = found[-1].id
                for standing in found:
                    census.count(standing, self._due_at(standing))
                    if not await self._finished(standing) and (standing.id not in self._watched or standing.hurried):
                        self._watch(standing)
            census.tell(self._services.clock.now())
        except MailError as error:
            logs.event("spool.sweep_failed", level="warning", reason=error.text)
        except Exception as error:
            logs.crash("spool.crashed", error)
        finally:
            self._due.add(_SWEEP, 0, self._services.settings.queue.sweep_seconds * self._rng.uniform(0.5, 1.5))

    def _due_at(self, standing: Standing) -> float | None:
        """When its next attempt is due; None where that is not known yet, or its destinations take no more just now."""
        known = self._watched.get(standing.id)
        return None if known is None or not self._places.open_to(known) else self._schedule.due(standing, known)

    def _watch(self, standing: Standing) -> None:
        """Somebody may be at it: look again when they have had their time."""
        limits = self._services.settings.queue
        known = self._watched.setdefault(standing.id, None)
        wait = limits.claim_seconds if standing.claimed else 0.0 if standing.hurried else limits.takeover_seconds
        if known is not None and known.ours != standing.last:
            known.ours = -1
        self._due.add(standing.id, standing.last, wait)

    async def _finished(self, standing: Standing) -> bool:
        """Whether there is nothing to hand out, or it is on hold; clears what a settled entry left behind."""
        if standing.garbage and standing.objects:
            await self.outbound.clear(standing.id)
        if standing.garbage or standing.held:
            self._forget(standing.id)
            return True
        return False

    async def _learn(self, entry_id: str) -> Known | None:
        """Read an entry's line, for its recipients and its claim."""
        entry = await self.outbound.header(entry_id)
        if entry is None:
            return None
        known = await sort(entry, self._services.directory, self.relay, outward=entry.outward)
        self._watched[entry_id] = known
        return known

    def _forget(self, entry_id: str) -> None:
        self._watched.pop(entry_id, None)

    def _hand_out(
        self, entry: SpoolEntry, message: bytes, known: dict[str, Outcome], places: Collection[str], began: float
    ) -> HandOut:
        dot_before = began + self._services.settings.outbound.dot_within
        return HandOut(self._services, self.relay, entry, message, known, places, dot_before)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
