"""Faults that a real bucket cannot be asked for: answers lost, writes late, clocks that jump."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from mailpod.clock import Clock
from mailpod.store import AccountRef, Store, StoreSettings, new_account
from mailpod.store.memory import MemoryObjects
from mailpod.store.objects import AlreadyExists, Ambiguous, Buffer, ObjectStore, StorageError


class FakeClock:
    """Time passes only when somebody sleeps or the test says so."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self.time = start

    def elapsed(self) -> float:
        return self.time

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


class Faulty:
    """A bucket whose next `create`s under `match` meet the faults in `script`, in order:

    lost      written, and the answer is lost          cut     not written, and the writer cannot know
    late      not written now; `land()` writes it      refuse  certainly not written
    race:f    `f()` runs first                         gone    "exists", though nothing is there
    """

    read_ahead = 1

    def __init__(self, inner: ObjectStore, match: str = "/log/") -> None:
        self.inner = inner
        self.match = match
        self.script: deque[str | Callable[[], Any]] = deque()
        self.late: list[tuple[str, bytes]] = []
        self.creates: list[tuple[str, bytes]] = []
        self.requests: list[tuple[str, str]] = []
        self.down = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.requests.append((name, str(args[0]) if args else ""))
            if self.down:
                raise StorageError("down")
            return await method(*args, **kwargs)

        return call

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        whole = b"".join(data)
        self.creates.append((key, whole))
        self.requests.append(("create", key))
        if self.down:
            raise StorageError("down")
        fault = self.script.popleft() if self.script and self.match in key else None
        if callable(fault):
            await fault()
            fault = None
        if fault == "cut":
            raise Ambiguous("cut")
        if fault == "late":
            self.late.append((key, whole))
            raise Ambiguous("late")
        if fault == "refuse":
            raise StorageError("refused")
        if fault == "gone":
            raise AlreadyExists(key)
        await self.inner.create(key, [whole])
        if fault == "lost":
            raise Ambiguous("lost")

    async def land(self) -> None:
        """What was sent long ago arrives now."""
        for key, data in self.late:
            try:
                await self.inner.create(key, [data])
            except AlreadyExists:
                continue
        self.late.clear()


class Distant(MemoryObjects):
    """A bucket that is some way off: `travel` waits for a request, or an answer, to get there."""

    def __init__(self, travel: Callable[[], Awaitable[None]], clock: Clock | None = None) -> None:
        super().__init__(clock)
        self.travel = travel

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        await self.travel()
        try:
            await super().create(key, data)
        finally:
            await self.travel()

    async def get_with_time(self, key: str) -> tuple[bytes, float]:
        await self.travel()
        try:
            return await super().get_with_time(key)
        finally:
            await self.travel()


class World:
    """A bucket with one account, and as many pods as the test wants."""

    def __init__(self, objects: ObjectStore, ref: AccountRef, clock: FakeClock, settings: StoreSettings) -> None:
        self.objects, self.ref, self.clock, self.settings = objects, ref, clock, settings
        self._pods = 0

    def pod(self, objects: Any = None, clock: Any = None) -> Store:
        self._pods += 1
        return Store(
            objects or self.objects,
            settings=self.settings,
            clock=clock or self.clock,
            rng=random.Random(self._pods),
            pod=f"pod-{self._pods}",
        )


async def make_world(objects: ObjectStore | None = None, **settings: Any) -> World:
    clock = FakeClock()
    bucket: ObjectStore = objects or MemoryObjects(clock)
    ref = await new_account(bucket, "x.test", "alice", clock=clock, rng=random.Random(0))
    return World(bucket, ref, clock, StoreSettings(**({"checkpoint_interval": 0.0} | settings)))


def mail(number: int = 0, size: int = 0) -> bytes:
    head = f"From: a{number}@x.test\r\nTo: alice@x.test\r\nSubject: message {number}\r\n\r\n".encode()
    return head + b"x" * size + b"\r\n"
