"""One pod's way to the bucket: delays, lost answers, late writes, stalls, suspension, crashes.

A request waits, takes effect (or not, or much later), waits again, and is answered (or not). A frozen pod is answered
when it wakes. A crashed pod is never answered, and what it had sent may still land.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

from mailpod.store.objects import AlreadyExists, Ambiguous, Buffer, Entry, NotFound, StorageError

from .activity import current
from .bucket import Bucket
from .faults import GRACE, SKEW, SLOW, Aim, Dice, Table
from .truth import Broken

T = TypeVar("T")
_TIMEOUT = 1.0  # virtual seconds until a writer gives up waiting
_LATE = (1.0, 2.5 * GRACE)  # after its writer gave up
_STALL = (0.5, GRACE / 2)
_SUSPENSION = (GRACE / 2, 3 * GRACE)
_SWEEPS = 4  # of the queue that a pod does not begin in GRACE/2
_KINDS = ("log", "checkpoint", "page", "pack", "incarnation", "purge")


class Link:
    """An ObjectStore. `alive` is set False by a crash; `crash` is told when a request is struck by one."""

    read_ahead = 4

    def __init__(
        self,
        bucket: Bucket,
        rng: random.Random,
        dice: Dice,
        table: Table,
        *,
        skewed: bool = False,
        aim: Aim | None = None,
        crash: Callable[[], None] = lambda: None,
    ) -> None:
        self.bucket = bucket
        self.rng = rng
        self.dice = dice
        self.table = table
        self.skewed = skewed
        self.aim = aim
        self.crash = crash
        self.alive = True
        self.frozen_until = 0.0
        self.slow_until = 0.0
        self.counts: Counter[str] = Counter()
        self.sweeps: list[float] = []  # when the whole queue was listed

    # -- time

    async def wait(self, seconds: float) -> None:
        """Sleep as a process of this pod does."""
        await asyncio.sleep(seconds)
        if self.frozen_until or not self.alive:
            await self._thaw()

    async def _thaw(self) -> None:
        loop = asyncio.get_running_loop()
        while self.frozen_until > loop.time():  # noqa: ASYNC110  a freeze may be prolonged while we wait
            await asyncio.sleep(self.frozen_until - loop.time())
        if not self.alive:
            await self._rest()  # nobody is there to be answered

    async def _rest(self) -> None:
        """For ever. Kept, as a task that is collected as garbage would end in the middle of another's turn."""
        for_ever: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.bucket.graves.append(for_ever)
        await for_ever

    def freeze(self, seconds: float) -> None:
        """The pod stands still: SIGSTOP, or a suspended machine."""
        self.frozen_until = max(self.frozen_until, asyncio.get_running_loop().time() + seconds)

    # -- requests

    async def _request(self, operation: str, effect: Callable[[], T], *, writes: bool) -> T:
        self.counts[operation] += 1
        rng, delay = self.rng, 0.0
        if self.skewed:
            self._struck(SKEW, operation)
        if (self.slow_until and asyncio.get_running_loop().time() < self.slow_until) or self._aimed(SLOW, operation):
            self._struck(SLOW, operation)
            delay = rng.uniform(0, GRACE / 2)
        match self._throw(self.dice.before, operation):
            case "":
                pass
            case "refused":
                await self.wait(rng.uniform(0, 0.02))
                raise StorageError("refused")
            case "crash before sending":
                await self._die()
            case "delayed":
                delay += rng.uniform(0.1, _TIMEOUT)
            case "stalled before sending":
                self.freeze(rng.uniform(*_STALL))
            case "suspended past GRACE before sending":
                self._suspended(operation)
                self.freeze(rng.uniform(*_SUSPENSION))
        await self.wait(delay + rng.uniform(0, 0.02))
        return await (self._write(operation, effect) if writes else self._read(operation, effect))

    async def _write(self, operation: str, effect: Callable[[], T]) -> T:
        rng = self.rng
        match self._throw(self.dice.write, operation):
            case "never arrives":
                await self.wait(_TIMEOUT)
                raise Ambiguous("timeout")
            case "lands late":
                asyncio.get_running_loop().call_later(rng.uniform(*_LATE), effect)
                await self.wait(_TIMEOUT)
                raise Ambiguous("timeout")
            case "lands late, its writer suspended":
                late = rng.uniform(GRACE, _LATE[1])
                asyncio.get_running_loop().call_later(late, effect)
                self.freeze(late + rng.uniform(0, 0.2 * GRACE))
                await self.wait(_TIMEOUT)
                raise Ambiguous("timeout")
            case "answer lost":
                effect()
                await self.wait(_TIMEOUT)
                raise Ambiguous("connection cut")
            case "409":
                if rng.random() < 0.5:
                    effect()
                await self.wait(rng.uniform(0, 0.02))
                raise Ambiguous("409")
            case "crash before the answer":
                if rng.random() < 0.5:
                    effect()
                else:
                    asyncio.get_running_loop().call_later(rng.uniform(*_LATE), effect)
                await self._die()
            case fault:
                self._freeze_for(fault, operation)
        found = effect()
        await self._answer()
        return found

    async def _read(self, operation: str, effect: Callable[[], T]) -> T:
        match self._throw(self.dice.read, operation):
            case "crash before the answer":
                await self._die()
            case fault:
                self._freeze_for(fault, operation)
        found = effect()
        await self._answer()
        return found

    async def _answer(self) -> None:
        """The way back, which now and then takes no time."""
        if self.frozen_until or not self.alive or self.rng.random() < 0.7:
            await self.wait(self.rng.uniform(0, 0.02))

    def _freeze_for(self, fault: str, operation: str) -> None:
        if fault == "stalled before the answer":
            self.freeze(self.rng.uniform(*_STALL))
        elif fault:
            self._suspended(operation)
            self.freeze(self.rng.uniform(*_SUSPENSION))

    def _throw(self, thresholds: list[tuple[float, str]], operation: str) -> str:
        fault = Dice.throw(self.rng, thresholds)
        if self.aim and not fault:
            fault = next((name for _, name in thresholds if self._aimed(name, operation)), "")
        if fault:
            self._struck(fault, operation)
        return fault

    def _aimed(self, fault: str, operation: str) -> bool:
        return self.aim is not None and self.aim.strikes(fault, operation, current().name, self.rng)

    def _struck(self, fault: str, operation: str) -> None:
        self.table.struck(fault, operation, current().name)

    def _suspended(self, operation: str) -> None:
        doing = current().name
        if doing == "collect" and operation.startswith("delete"):
            self.table.scenarios["collector suspended past GRACE between deciding and DELETE"] += 1
        elif doing == "checkpoint" and operation.startswith("create"):
            self.table.scenarios["checkpointer suspended past GRACE between base and publish"] += 1
        elif doing == "pack":
            self.table.scenarios["packer suspended past GRACE"] += 1

    async def _die(self) -> None:
        doing = current().name
        if doing in ("create account", "close", "purge"):
            self.table.scenarios[f"an operator killed during {doing}"] += 1
        self.alive = False
        self.crash()
        await self._rest()

    # -- ObjectStore

    async def create(self, key: str, data: Sequence[Buffer]) -> None:
        whole = b"".join(data)
        if "/checkpoint/" in key and asyncio.get_running_loop().time() - current().listed > GRACE / 2:
            raise Broken(f"{key} is created more than GRACE/2 after the LIST that showed its base (STORE.md rule 8)")
        if not await self._request(f"create {kind_of(key)}", lambda: self.bucket.create(key, whole), writes=True):
            raise AlreadyExists(key)

    async def put(self, key: str, data: Sequence[Buffer]) -> None:
        whole = b"".join(data)
        await self._request(f"put {kind_of(key)}", lambda: self.bucket.put(key, whole), writes=True)

    async def upload(self, key: str, data: AsyncIterator[Buffer]) -> int:
        parts = [bytes(part) async for part in data]
        await self.create(key, parts)
        return sum(map(len, parts))

    async def delete(self, keys: Sequence[str]) -> None:
        """One request for keys of one kind: all go, or none, or (where it fails) some now and some later."""
        groups: dict[str, list[str]] = {}
        for key in keys:
            groups.setdefault(kind_of(key), []).append(key)
        for kind, names in groups.items():
            try:
                await self._request(f"delete {kind}", lambda names=names: self._delete(names), writes=True)
            except Ambiguous as error:
                for name in names:
                    if self.rng.random() < 0.2:
                        self.bucket.delete(name)
                raise StorageError(str(error)) from error

    def _delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.bucket.delete(key)

    async def get_with_time(self, key: str) -> tuple[bytes, float]:
        found = await self._request(f"get {kind_of(key)}", lambda: self.bucket.objects.get(key), writes=False)
        if found is None:
            raise NotFound(key)
        return found

    async def get(self, key: str) -> bytes:
        return (await self.get_with_time(key))[0]

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        return (await self.get(key))[start:end]

    async def get_head(self, key: str, size: int) -> tuple[bytes, int]:
        data = await self.get(key)
        return data[:size], len(data)

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        now = asyncio.get_running_loop().time()
        if prefix.endswith("/checkpoint/"):
            current().listed = now
        elif prefix == "outbound/" and not after:
            self.sweeps.append(now)
            if len(self.sweeps) > _SWEEPS and now - self.sweeps[-_SWEEPS] < GRACE / 2:
                raise Broken(f"a pod lists the whole queue {_SWEEPS} times in {GRACE / 2} s (STORE.md rule 20)")
        return await self._request(
            f"list {kind_of(prefix)}", lambda: self.bucket.list(prefix, after, limit), writes=False
        )

    async def list_folders(self, prefix: str) -> list[str]:
        names = {entry.key[len(prefix) :] for entry in await self.list(prefix)}
        return sorted({name.partition("/")[0] for name in names if "/" in name})

    async def close(self) -> None:
        return None


def kind_of(key: str) -> str:
    """What an object, or a listing, is of: `log`, `page`, `outbound`, … as the table's columns say."""
    parts = key.split("/")
    for part in reversed(parts):
        if part in _KINDS:
            return part
    return parts[-1] if parts[0].startswith(".") else parts[0]
