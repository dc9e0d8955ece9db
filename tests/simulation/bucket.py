"""The bucket, and what lies between it and a pod: delays, lost answers, late writes, stalls, crashes.

- `Bucket` is the truth: each object is there or not, at one instant of virtual time, whoever asks.
- `Link` is one pod's way to it. A request waits, takes effect (or not, or much later), waits again, and is answered
  (or not). A stalled pod is answered when the stall is over. A crashed pod is never answered.
- Every fault that happens is counted by its name and the operation, for the table at the end.
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from mailpod.store.objects import AlreadyExists, Ambiguous, Buffer, Entry, NotFound, StorageError


@dataclass
class Chances:
    """How often a request meets each fault, and how long things take (virtual seconds)."""

    lost: float = 0.03  # took effect, the answer is lost
    cut: float = 0.03  # never arrives
    late: float = 0.02  # takes effect long after the writer gave up
    refused: float = 0.03  # certainly had no effect
    stall: float = 0.01  # the pod stands still before it sees the answer
    stall_before: float = 0.01  # … or between deciding and sending
    delay: float = 0.02
    late_delay: tuple[float, float] = (1.0, 150.0)
    stall_delay: tuple[float, float] = (5.0, 150.0)
    timeout: float = 2.0


class Bucket:
    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.objects: dict[str, tuple[bytes, float]] = {}
        self.keys: list[str] = []
        self.deleted: set[str] = set()
        self.on_create: Callable[[str, bytes], None] = lambda key, data: None
        self.on_delete: Callable[[str], None] = lambda key: None

    def create(self, key: str, data: bytes) -> bool:
        if key in self.objects:
            return False
        self.put(key, data)
        self.on_create(key, data)
        return True

    def put(self, key: str, data: bytes) -> None:
        if key not in self.objects:
            insort(self.keys, key)
        self.objects[key] = (data, self._now())

    def delete(self, key: str) -> None:
        if key in self.objects:
            self.on_delete(key)
            del self.objects[key]
            del self.keys[bisect_left(self.keys, key)]
            self.deleted.add(key)

    def list(self, prefix: str, after: str = "", limit: int | None = None) -> list[Entry]:
        start = max(bisect_left(self.keys, prefix), bisect_right(self.keys, after) if after else 0)
        end = bisect_left(self.keys, prefix[:-1] + chr(ord(prefix[-1]) + 1))
        keys = self.keys[start : end if limit is None else min(end, start + limit)]
        return [Entry(key, len(self.objects[key][0]), self.objects[key][1]) for key in keys]


@dataclass
class Link:
    """One pod's ObjectStore. `alive` is set False by a crash; requests under way then may still land."""

    bucket: Bucket
    rng: random.Random
    chances: Chances
    faults: Counter[tuple[str, str]]
    alive: bool = True
    frozen_until: float = 0.0
    read_ahead: int = 4
    requests: Counter[str] = field(default_factory=Counter)

    async def _wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        loop = asyncio.get_running_loop()
        while self.frozen_until > loop.time():  # noqa: ASYNC110  a freeze may be prolonged while we wait
            await asyncio.sleep(self.frozen_until - loop.time())
        if not self.alive:
            await loop.create_future()  # nobody is there to be answered

    def freeze(self, seconds: float) -> None:
        """The pod stands still: SIGSTOP, or a suspended machine."""
        self.frozen_until = max(self.frozen_until, asyncio.get_running_loop().time() + seconds)

    def _hit(self, name: str, chance: float, operation: str) -> bool:
        if self.rng.random() >= chance:
            return False
        self.faults[name, operation] += 1
        return True

    async def _before(self, operation: str) -> None:
        self.requests[operation] += 1
        if self._hit("stall before sending", self.chances.stall_before, operation):
            self.freeze(self.rng.uniform(*self.chances.stall_delay))
        await self._wait(self.rng.uniform(0, self.chances.delay))

    async def _after(self, operation: str) -> None:
        if self._hit("stall before the answer", self.chances.stall, operation):
            self.freeze(self.rng.uniform(*self.chances.stall_delay))
        await self._wait(self.rng.uniform(0, self.chances.delay))

    async def _write(self, operation: str, effect: Callable[[], bool]) -> bool:
        """Run `effect` now, later or never; True or False is its answer."""
        await self._before(operation)
        if self._hit("refused", self.chances.refused, operation):
            await self._after(operation)
            raise StorageError("refused")
        if self._hit("never arrives", self.chances.cut, operation):
            await self._wait(self.chances.timeout)
            raise Ambiguous("timeout")
        if self._hit("lands late", self.chances.late, operation):
            later = self.rng.uniform(*self.chances.late_delay)
            asyncio.get_running_loop().call_later(later, effect)
            await self._wait(self.chances.timeout)
            raise Ambiguous("timeout")
        done = effect()
        if self._hit("answer lost", self.chances.lost, operation):
            await self._wait(self.chances.timeout)
            raise Ambiguous("timeout")
        await self._after(operation)
        return done

    async def _read(self, operation: str, effect: Callable[[], bytes | list[Entry]]) -> object:
        await self._before(operation)
        if self._hit("refused", self.chances.refused, operation):
            await self._after(operation)
            raise StorageError("refused")
        try:
            found = effect()
        except KeyError as error:
            await self._after(operation)
            raise NotFound(str(error)) from None
        await self._after(operation)
        return found

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        whole = b"".join(data)
        if not await self._write(f"create {_kind(key)}", lambda: self.bucket.create(key, whole)):
            raise AlreadyExists(key)

    async def put(self, key: str, data: Sequence[Buffer]) -> None:
        whole = b"".join(data)

        def effect() -> bool:
            self.bucket.put(key, whole)
            return True

        await self._write(f"put {_kind(key)}", effect)

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:

            def effect(key: str = key) -> bool:
                self.bucket.delete(key)
                return True

            try:
                await self._write(f"delete {_kind(key)}", effect)
            except Ambiguous as error:
                raise StorageError(str(error)) from error

    async def get(self, key: str) -> bytes:
        found = await self._read(f"get {_kind(key)}", lambda: self.bucket.objects[key][0])
        assert isinstance(found, bytes)
        return found

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        return (await self.get(key))[start:end]

    async def get_head(self, key: str, size: int) -> tuple[bytes, int]:
        data = await self.get(key)
        return data[:size], len(data)

    async def get_with_time(self, key: str) -> tuple[bytes, float]:
        data = await self.get(key)
        return data, self.bucket.objects[key][1] if key in self.bucket.objects else 0.0

    async def list_folders(self, prefix: str) -> list[str]:
        entries = await self.list(prefix)
        return sorted({entry.key[len(prefix) :].split("/")[0] for entry in entries})

    async def upload(self, key: str, data: AsyncIterator[Buffer]) -> int:
        parts = [bytes(part) async for part in data]
        await self.create(key, parts)
        return sum(map(len, parts))

    async def close(self) -> None:
        return None

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        found = await self._read(f"list {_kind(prefix)}", lambda: self.bucket.list(prefix, after, limit))
        assert isinstance(found, list)
        return found


def _kind(key: str) -> str:
    for kind in ("log", "checkpoint", "page", "pack", "incarnation"):
        if f"/{kind}/" in key:
            return kind
    return key.split("/")[0]


Work = Callable[[], Awaitable[None]]
