"""One seed: pods and operators that crash and stand still, clients, senders, a failing bucket; then the verdict."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mailpod import logs
from mailpod.errors import MailError
from mailpod.store import state
from mailpod.store.objects import Ambiguous, StorageError

from . import judge
from .activity import activity
from .authorizing import Owner, has_owners
from .bucket import Bucket
from .clients import Client, Reader
from .elsewhere import Elsewhere
from .faults import GRACE, SKEW, Aim, Cell, Dice, Table
from .guests import Guest
from .keeping import Keeper, retention
from .link import Link
from .operators import Operator, make_operator
from .oracle import Address, Copy, Oracle
from .pods import SETTINGS, Pod, make_pod
from .queueing import Accepted, Sender
from .sessions import Session
from .truth import Broken

ADDRESSES = ("alice@x.test", "bob@x.test")
_REPOST = (0, 200, 200, 1 << 20)  # bytes: a seed has one of these, as none may lose anything (STORE.md rule 5)
_SECONDS = (40.0, 40.0, 40.0, 80.0, 160.0)  # most mistakes show soon, and some need a slow pod and a collection
_KEEPS = 8  # one of so many seeds has retention, whose dice are others then: the rest keep theirs
_ALARMS = {
    "store.commit.error",
    "store.checkpoint.error",
    "store.tend.error",
    "store.index.error",
    "spool.crashed",
    "relay.crashed",
    "purge.refused",
}


class World:
    """`table` counts what happened. The seed decides everything, also which troubles are the more frequent ones;
    `cell` is one of the table that is to be met besides."""

    def __init__(self, seed: int, cell: Cell | None = None) -> None:
        self.rng = random.Random(seed)
        self.table = Table()
        self.pods: list[Pod] = []
        self.operators: list[tuple[Operator, asyncio.Task[None]]] = []
        self.accepted: list[Accepted] = []
        self.elsewhere = Elsewhere(self)
        self.failure: BaseException | None = None
        self.dice = Dice(self.rng.choice([0.0, 0.3, 1.0, 1.0, 2.0]))
        self.trouble = self.rng.choice([0.03, 0.1, 0.1, 0.2])  # a second
        self.settings = SETTINGS.model_copy(update={"repost_bytes": self.rng.choice(_REPOST)})
        self.churn = self.rng.choice([0.0, 0.0, 0.3, 1.0])  # of accounts
        self.seconds = self.rng.choice(_SECONDS)
        self.keeps = cell is None and seed % _KEEPS == _KEEPS - 1
        self.authorizes = cell is None and has_owners(seed)
        self.aim = Aim(cell) if cell else None
        if cell:
            self.dice, self.churn, self.trouble, self.seconds = Dice(1.0), 1.0, 0.2, _SECONDS[-1]
        self._messages = 0
        self._at_it: Counter[str] = Counter()
        self._checked: dict[str, int] = {}  # account and pod -> the head that was compared
        self._names = 0

    # -- what everybody uses

    def fork(self) -> random.Random:
        return random.Random(self.rng.random())

    def link(self, *, skewed: bool = False) -> Link:
        return Link(self.bucket, self.fork(), self.dice, self.table, skewed=skewed, aim=self.aim)

    def skew(self) -> float:
        """Of a clock, in seconds."""
        day_off = self.aim is not None and self.aim.fault == SKEW
        return self.rng.choice([86_400.0, -86_400.0] if day_off else [0.0, 0.0, 86_400.0, -86_400.0, 100.0])

    def fail(self, error: BaseException) -> None:
        """Remember the first thing that may not be; the run stops at its next step."""
        if self.failure is None:
            self.failure = error

    @contextmanager
    def several(self, scenario: str, prefix: str) -> Iterator[None]:
        """Count a scenario where somebody else is at the same thing."""
        key = f"{scenario} {prefix}"
        self.table.scenarios[scenario] += self._at_it[key] > 0
        self._at_it[key] += 1
        try:
            yield
        finally:
            self._at_it[key] -= 1

    def some_address(self, rng: random.Random) -> Address:
        return rng.choices(list(self.oracle.addresses.values()), (3, 1))[0]

    def new_copy(self, address: Address, number: int = 0) -> Copy:
        if not number:
            self._messages += 1
            number = self._messages
        copy = address.copies[number] = Copy(number)
        return copy

    # -- the run

    async def run(self) -> None:
        days, state.DELIVERY_DAYS = state.DELIVERY_DAYS, 20  # type: ignore[misc]
        try:
            await self._run()
        finally:
            state.DELIVERY_DAYS = days  # type: ignore[misc]

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        logs.configure(level="error", stream=_Alarms(self))  # type: ignore[arg-type]
        self.bucket = Bucket(loop.time)
        self.oracle = Oracle(self.bucket, list(ADDRESSES), loop.time)
        self.oracle.keeps = self.keeps
        for at, address in enumerate(self.oracle.addresses.values()):
            address.retention = retention(at) if self.keeps else {}
        self.oracle.queued, self.oracle.unqueued = self.elsewhere.created, self.elsewhere.deleting
        self._guard()
        for _ in range(3):
            self.start_pod()
        for _ in range(2):
            self._start_operator()
        end = loop.time() + self.seconds
        while loop.time() < end:
            await asyncio.sleep(self.rng.expovariate(self.trouble))
            await self._make_trouble()
            await self._step()
        await judge.settle(self)

    def _guard(self) -> None:
        """What the oracle finds as objects come and go stops the world, not the pod that did it."""
        created, deleting = self.bucket.created, self.bucket.deleting

        def on_create(key: str, data: bytes) -> None:
            try:
                created(key, data)
            except Exception as error:
                self.fail(error)

        def on_delete(key: str) -> None:
            try:
                deleting(key)
            except Exception as error:
                self.fail(error)

        self.bucket.created, self.bucket.deleting = on_create, on_delete

    async def _step(self) -> None:
        """Everything that must hold, whenever one looks."""
        if self.failure is None:
            self.oracle.step()
            self.check_pods()
            await judge.verify_checkpoints(self.oracle)
            if self.rng.random() < 0.4:
                await judge.replay(self.oracle, self.rng)
        if self.failure is not None:
            raise self.failure

    def check_pods(self) -> None:
        for pod in self.pods:
            for account in pod.store._accounts.values():
                if account.log.broken is None and self._checked.get(account.prefix + pod.name) == account.head:
                    continue
                self._checked[account.prefix + pod.name] = account.head
                if account.log.broken is not None:
                    raise Broken(f"{pod.name} found {account.prefix} damaged: {account.log.broken}")
                self.oracle.check(account.prefix, account.log.served, pod.name)

    # -- pods and operators

    def start_pod(self) -> Pod:
        self._names += 1
        pod = make_pod(self, f"pod-{self._names}", skew=self.skew())
        self.pods.append(pod)
        if self.rng.random() < 0.2:  # nobody changes anything here, so that its states become old
            pod.spawn(Reader(pod).run())
            pod.spawn(Reader(pod).run())
            return pod
        for _ in range(2):
            pod.spawn(Client(pod).run())
        pod.spawn(Session(pod).run())
        pod.spawn(Guest(pod).run())
        pod.spawn(Sender(pod).run())
        if self.keeps:
            pod.spawn(Keeper(pod).run())
        if self.authorizes:
            pod.spawn(Owner(pod).run())
        pod.spool.start()
        return pod

    def _start_operator(self) -> None:
        operator = make_operator(self)
        task = asyncio.ensure_future(operator.run())
        task.add_done_callback(lambda done: done.cancelled() or (done.exception() and self.fail(done.exception())))  # type: ignore[arg-type]
        self.operators.append((operator, task))

    async def _make_trouble(self) -> None:
        rng = self.rng
        self._bury()
        match rng.randrange(10):
            case 0 | 1:
                pod = rng.choice(self.pods)
                self.table.done["pod killed"] += 1
                pod.crash()
            case 2:
                rng.choice(self.pods).link.freeze(rng.uniform(GRACE / 2, 3 * GRACE))
            case 3:
                rng.choice(self.pods).link.freeze(rng.uniform(0.1, GRACE / 2))
            case 4 if rng.random() < self.churn:
                address = rng.choice(list(self.oracle.addresses.values()))
                address.wanted = not address.wanted
            case 5:
                rng.choice(self.operators)[0].link.freeze(rng.uniform(1, 3 * GRACE))
            case 6:
                self._hint()
            case 7:
                pod = rng.choice(self.pods)
                self.table.done["pod stopped"] += 1
                pod.spawn(self._stop(pod))
            case 9:
                link = rng.choice(self.pods).link
                link.slow_until = asyncio.get_running_loop().time() + rng.uniform(GRACE, 4 * GRACE)
            case 8:
                for pod in rng.sample(self.pods, rng.choice([1, 2])):
                    pod.spawn(self._tend(pod, rng.choice(["pack", "pack", "collect", "checkpoint"])))
        self._bury()

    async def _tend(self, pod: Pod, what: str) -> None:
        """Packing, collection and checkpoints at any moment, due or not."""
        for account in list(pod.store._accounts.values()):
            account.pins += 1
            try:
                match what:
                    case "pack":
                        await pod.store.pack(account, force=True)
                    case "collect":
                        await pod.store.collect(account.ref)
                    case _:
                        await pod.store.checkpoint(account)
            except (MailError, StorageError, Ambiguous) as error:
                self.table.done[f"{what} failed: {type(error).__name__}"] += 1
            finally:
                account.release()

    async def _stop(self, pod: Pod) -> None:
        with activity("checkpoint"):
            await pod.store.close()
        pod.crash()

    def _bury(self) -> None:
        """Replace the dead."""
        for pod in [pod for pod in self.pods if not pod.link.alive]:
            self.pods.remove(pod)
            self.start_pod()
        for operator in [found for found in self.operators if not found[0].link.alive]:
            self.operators.remove(operator)
            self._start_operator()

    def _hint(self) -> None:
        """Somebody says that an account has changed: true or not, now or long ago. It only makes a pod look."""
        rng = self.rng
        kind = rng.choice(["repeated", "forged", "out of order"])
        self.table.scenarios[f"hint {kind}" if kind != "out of order" else "hint out of order"] += 1
        for pod in rng.sample(self.pods, 2 if kind == "repeated" else 1):
            pod.spawn(self._hear(pod))

    async def _hear(self, pod: Pod) -> None:
        with activity("look"):
            for account in list(pod.store._accounts.values()):
                try:
                    await account.refresh()
                except MailError as error:
                    self.table.done[f"failed: {type(error).__name__}"] += 1


class _Alarms:
    """The log's stream: errors that no fault explains stop the world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def write(self, line: str) -> None:
        fields: dict[str, Any] = json.loads(line)
        if fields["event"] in _ALARMS:
            self._world.fail(Broken(f"logged: {line.strip()}"))

    def flush(self) -> None:
        return None
