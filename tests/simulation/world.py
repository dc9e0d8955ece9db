"""One seed: pods that crash and stand still, clients that send, read and delete, a failing bucket; then the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from dataclasses import dataclass, field

from mailpod.errors import MailError
from mailpod.store import Account, NewMessage, Store, StoreSettings, new_account
from mailpod.store.memory import MemoryObjects

from .bucket import Bucket, Chances, Link
from .oracle import Broken, Copy, Oracle, numbers

GRACE = 60.0
SETTINGS = StoreSettings(
    grace=GRACE,
    commit_deadline=8.0,
    inline_message_bytes=400,
    repost_bytes=200,
    checkpoint_commits=4,
    checkpoint_interval=0.5,
    page_messages=6,
    state_page_messages=12,
    overlay_entries=4,
    copy_inline_messages=2,
    body_cache_bytes=0,
    page_cache_bytes=20_000,
    idle_accounts=0,
)


class PodClock:
    """A pod's clocks: elapsed time is true (and stands still with nobody), the time of day may be a day off."""

    def __init__(self, link: Link, skew: float) -> None:
        self._link = link
        self._skew = skew

    def elapsed(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> float:
        return 1_700_000_000 + self._skew + asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await self._link._wait(seconds)


@dataclass
class Pod:
    name: str
    link: Link
    store: Store
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def crash(self) -> None:
        """kill -9: nothing of it runs again; what it sent is on its way."""
        self.link.alive = False
        for task in self.tasks:
            task.cancel()


class World:
    """A run of one seed; `faults` and `done` count what happened."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.faults: Counter[tuple[str, str]] = Counter()
        self.done: Counter[str] = Counter()
        self.pods: list[Pod] = []
        self._count = 0
        self._messages = 0

    async def run(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self.bucket = Bucket(loop.time)
        memory = MemoryObjects()
        self.ref = await new_account(memory, "x.test", "alice", rng=self.rng, clock=PodClock(self._link(), 0))
        self.oracle = Oracle(self.bucket, self.ref.prefix)
        self.bucket.on_create = self.oracle.committed
        for entry in await memory.list("accounts/"):
            self.bucket.create(entry.key, await memory.get(entry.key))
        quiet = self.rng.random() < 0.3
        self.chances = Chances(**dict.fromkeys(("lost", "cut", "late", "refused"), 0.0)) if quiet else Chances()
        for _ in range(3):
            self._start_pod()
        end = loop.time() + seconds
        while loop.time() < end:
            await asyncio.sleep(self.rng.expovariate(0.1))
            self._trouble()
            self._look_at_pods()
        await self._settle()

    def _link(self) -> Link:
        chances = getattr(self, "chances", Chances())
        return Link(getattr(self, "bucket", None), random.Random(self.rng.random()), chances, self.faults)  # type: ignore[arg-type]

    def _start_pod(self) -> None:
        self._count += 1
        link = self._link()
        skew = self.rng.choice([0.0, 0.0, 86_400.0, -86_400.0, 100.0])
        clock = PodClock(link, skew)
        name = f"pod-{self._count}"
        store = Store(link, settings=SETTINGS, clock=clock, rng=random.Random(self.rng.random()), pod=name)
        pod = Pod(name, link, store)
        self.pods.append(pod)
        for _ in range(2):
            self._spawn(pod, self._client(pod))

    def _spawn(self, pod: Pod, work: object) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)  # type: ignore[arg-type]
        pod.tasks.add(task)

        def ended(done: asyncio.Task[None]) -> None:
            pod.tasks.discard(done)
            if not done.cancelled() and done.exception() is not None and pod.link.alive:
                self.failure = done.exception()

        task.add_done_callback(ended)

    failure: BaseException | None = None

    def _trouble(self) -> None:
        pod = self.rng.choice(self.pods)
        match self.rng.randrange(4):
            case 0:
                self.faults["crash", "pod"] += 1
                pod.crash()
                self.pods.remove(pod)
                self._start_pod()
            case 1:
                self.faults["suspended past GRACE", "pod"] += 1
                pod.link.freeze(self.rng.uniform(GRACE / 2, 3 * GRACE))
            case 2:
                self.faults["suspended", "pod"] += 1
                pod.link.freeze(self.rng.uniform(0.1, GRACE / 2))

    def _look_at_pods(self) -> None:
        if self.failure is not None:
            raise self.failure
        for pod in self.pods:
            account = pod.store.peek(self.ref)
            if account is not None and account.log.broken is None:
                self.oracle.check(account.log.state, pod.name)
            if account is not None and account.log.broken is not None:
                raise Broken(f"{pod.name} found the account damaged: {account.log.broken}")
        self.oracle.check_commit_chain()

    async def _client(self, pod: Pod) -> None:
        rng = random.Random(self.rng.random())
        while True:
            await pod.link._wait(rng.expovariate(1.0))
            try:
                account = await pod.store.open(self.ref)
            except MailError:
                continue
            try:
                for _ in range(rng.randrange(1, 12)):
                    await self._step(rng, account, pod)
                    await pod.link._wait(rng.expovariate(3.0))
            except MailError as error:
                self.done[f"failed: {type(error).__name__}"] += 1
            finally:
                account.release()

    async def _step(self, rng: random.Random, account: Account, pod: Pod) -> None:
        match rng.randrange(10):
            case 0 | 1 | 2 | 3:
                await self._deliver(rng, account)
            case 4 | 5:
                await self._flag(rng, account)
            case 6:
                await self._expunge(rng, account)
            case 7:
                await self._move(rng, account)
            case 8:
                await account.refresh()
                self.done["look"] += 1
            case 9:
                await self._read(rng, account)

    async def _deliver(self, rng: random.Random, account: Account) -> None:
        copies = []
        for _ in range(rng.choice([1, 1, 1, 3])):
            self._messages += 1
            copy = self.oracle.copies[self._messages] = Copy(self._messages, False)
            copies.append(copy)
        await account.append(rng.choice(["INBOX", "Archive"]), [_message(rng, copy.number) for copy in copies])
        for copy in copies:
            copy.acknowledged = True
        self.done["append"] += 1

    def _find(self, rng: random.Random, account: Account, count: int) -> tuple[str, list[Copy], list[int]] | None:
        """Some messages of one mailbox as this pod sees it."""
        name = rng.choice(["INBOX", "Archive"])
        box = account.mailbox(name)
        here = {self.oracle.uids.get((box.id, uid)): uid for uid in box.uids}
        chosen = [copy for copy in numbers(rng, self.oracle.copies, 30) if copy.number in here][:count]
        chosen.sort(key=lambda copy: here[copy.number] or 0)
        return (name, chosen, [here[copy.number] for copy in chosen]) if chosen else None

    async def _flag(self, rng: random.Random, account: Account) -> None:
        found = self._find(rng, account, rng.choice([1, 1, 8]))
        if found is None:
            return
        name, copies, uids = found
        flag = rng.choice(["\\Seen", "\\Flagged", "Work"])
        mode = rng.choice(["add", "remove"])
        held = [copy for copy in copies if flag not in copy.unsure and not copy.flags.get(f"busy {flag}")]
        if len(held) != len(copies):
            return
        for copy in copies:
            copy.unsure.add(flag)
        await account.store_flags(account.mailbox(name), uids, mode, [flag])  # type: ignore[arg-type]
        box = account.mailbox(name)
        for copy, uid in zip(copies, uids, strict=True):
            if box.index(uid) < 0:
                continue  # moved meanwhile: whether before or after the change is not known
            copy.flags[flag] = mode == "add"
            copy.unsure.discard(flag)
        self.done["store"] += 1

    async def _expunge(self, rng: random.Random, account: Account) -> None:
        found = self._find(rng, account, rng.choice([1, 3]))
        if found is None or rng.random() < 0.5:
            return
        name, copies, uids = found
        for copy in copies:
            copy.gone = "asked"
        there = set(await account.expunge(account.mailbox(name), uids))
        for copy, uid in zip(copies, uids, strict=True):
            if uid in there:
                copy.gone = "yes"
        self.done["expunge"] += 1

    async def _move(self, rng: random.Random, account: Account) -> None:
        found = self._find(rng, account, rng.choice([1, 2, 6]))
        if found is None:
            return
        name, _, uids = found
        await account.move(account.mailbox(name), uids, "Archive" if name == "INBOX" else "INBOX")
        self.done["move"] += 1

    async def _read(self, rng: random.Random, account: Account) -> None:
        name = rng.choice(["INBOX", "Archive"])
        box = account.mailbox(name)
        if not box.exists:
            return
        uid = rng.choice(box.uids)
        number = self.oracle.uids[box.id, uid]
        async for page, rows in box.pages([uid]):
            data = await account.body(page.location(rows[0]))
            if f"Subject: message {number} ".encode() not in data:
                raise Broken(f"UID {uid} of {name} has another message's bytes")
        self.done["read"] += 1

    async def _settle(self) -> None:
        """The trouble ends; what was sent late lands; a new pod opens the account and everything is compared."""
        for pod in self.pods:
            pod.crash()
        await asyncio.sleep(400)
        self.chances = Chances(0, 0, 0, 0, 0, 0)
        link = self._link()
        store = Store(link, settings=SETTINGS, clock=PodClock(link, 0), rng=random.Random(1), pod="judge")
        account = await store.open(self.ref)
        self.oracle.check(account.log.state, "a new pod")
        if account.head != self.oracle.state.head:
            raise Broken(f"a new pod finds the head at {account.head}, not {self.oracle.state.head}")
        self.oracle.verdict()
        for box in account.mailboxes.values():
            seen = []
            async for page, rows in box.pages(box.uids):
                for row in rows:
                    number = self.oracle.uids[box.id, page.uids[row]]
                    data = await account.body(page.location(row))
                    if f"Subject: message {number} ".encode() not in data:
                        raise Broken(f"message {number}, {box.name} {page.uids[row]}, has other bytes: {data[:60]!r}")
                    seen.append(page.uids[row])
            if seen != list(box.uids):
                raise Broken(f"the pages of {box.name} do not have its messages")
        with contextlib.suppress(MailError):
            await store.checkpoint(account)
        self.oracle.check(account.log.state, "a new pod")


def _message(rng: random.Random, number: int) -> NewMessage:
    size = rng.choice([10, 10, 100, 600])
    head = f"From: a@x.test\r\nSubject: message {number} \r\n\r\n".encode()
    return NewMessage(head + b"x" * size + b"\r\n")
