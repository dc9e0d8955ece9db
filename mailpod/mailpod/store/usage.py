"""How much an account holds, for people: cheap, and never by opening it.

From the newest checkpoint's root (EXISTS and bytes a mailbox) and the commits after it. Messages are exact; the bytes
of an expunged or copied message that is not in those commits are taken as its mailbox's mean, until the next
checkpoint says. An account that did not change costs one request, a GET that is answered 404, and ever fewer of them:
the time to the next look doubles, up to an hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from mailpod.clock import Clock
from mailpod.store.checkpoint import Root, decode_root
from mailpod.store.incarnations import AccountRef
from mailpod.store.names import log_key
from mailpod.store.objects import NotFound, ObjectStore, StorageError
from mailpod.store.ops import (
    Append,
    Appends,
    BadCommit,
    Copy,
    Create,
    Delete,
    Expunge,
    Header,
    Operation,
    UnknownOperation,
    decode_header,
)
from mailpod.store.page import BadPage
from mailpod.store.uidset import decode_uids

_HEADER: Final = 16 << 10  # first read of a commit, as the pods do
_COMMITS: Final = 32  # read after a checkpoint; then the newest one is asked for again
_SHORTEST: Final = 240.0  # seconds between two looks at an account
_LONGEST: Final = 3600.0
_FROM_SCRATCH: Final = 6 * 3600.0  # well below GRACE: commits after our head are still there


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one account. `bytes` of messages, as they were received; `damage`: why it is read-only, up to where."""

    bytes: int
    messages: int
    damage: str = ""


@dataclass(slots=True)
class _Box:
    messages: int = 0
    bytes: int = 0
    sizes: dict[int, int] = field(default_factory=dict)  # of messages that came after the checkpoint

    def add(self, uid: int, size: int) -> None:
        self.messages += 1
        self.bytes += size
        self.sizes[uid] = size

    def size(self, uid: int) -> int:
        known = self.sizes.get(uid)
        return known if known is not None else self.bytes // max(self.messages, 1)

    def drop(self, uids: Sequence[int]) -> None:
        for uid in uids:
            self.bytes = max(self.bytes - self.size(uid), 0)
            self.messages = max(self.messages - 1, 0)
            self.sizes.pop(uid, None)


@dataclass(slots=True)
class _Seen:
    """An account as far as it was read."""

    head: int = 0
    head_id: str = ""
    base: int = 0  # the checkpoint's commit
    damage: str = ""
    boxes: dict[int, _Box] = field(default_factory=dict)
    begun: float = 0.0  # Clock.elapsed of the checkpoint's read
    next_look: float = 0.0
    wait: float = _SHORTEST

    @property
    def usage(self) -> Usage:
        held = self.boxes.values()
        return Usage(sum(box.bytes for box in held), sum(box.messages for box in held), self.damage)


class UsageReader:
    """Remembers how far each account was read: some hundred bytes an account."""

    def __init__(self, objects: ObjectStore, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._seen: dict[AccountRef, _Seen] = {}

    async def read(self, ref: AccountRef) -> Usage:
        """What the account holds, as of at most an hour ago; of a damaged log, up to the damage. Raises StorageError,
        also where the newest checkpoint is damaged or of a newer format, and NotFound where there is none."""
        now = self._clock.elapsed()
        seen = self._seen.get(ref)
        if seen is not None and now < seen.next_look:
            return seen.usage
        if seen is None or now - seen.begun > _FROM_SCRATCH:
            seen = await self._from_checkpoint(ref, seen)
        head = seen.head
        while await self._read_on(ref, seen):
            if seen.head - seen.base > _COMMITS:
                again = await self._from_checkpoint(ref, seen)
                if again.head <= seen.head:  # no newer checkpoint: go on from here
                    seen.base = seen.head
                    continue
                seen = again
        changed = seen.head != head or ref not in self._seen or bool(seen.damage)
        seen.wait = _SHORTEST if changed else min(2 * seen.wait, _LONGEST)
        seen.next_look = now + seen.wait
        if seen.head == 0:
            raise NotFound(ref.prefix)
        self._seen[ref] = seen
        return seen.usage

    def forget(self, ref: AccountRef) -> None:
        self._seen.pop(ref, None)

    async def _from_checkpoint(self, ref: AccountRef, before: _Seen | None) -> _Seen:
        seen = _Seen(begun=self._clock.elapsed(), wait=before.wait if before else _SHORTEST)
        newest = await self._objects.list(f"{ref.prefix}checkpoint/", limit=1)
        if not newest:
            return seen
        try:
            root: Root = decode_root(await self._objects.get(newest[0].key))
        except (BadPage, UnknownOperation) as error:
            raise StorageError(f"{newest[0].key}: {error}") from error
        seen.head = seen.base = root.seq
        seen.head_id = root.id
        seen.boxes = {box.id: _Box(box.exists, box.bytes) for box in root.boxes}
        return seen

    async def _read_on(self, ref: AccountRef, seen: _Seen) -> bool:
        """Read the commit after the head; False where there is none."""
        key = log_key(ref.prefix, seen.head + 1)
        seen.damage = ""
        try:
            data, size = await self._objects.get_head(key, _HEADER)
            if b"\n" not in data and len(data) < size:
                data = await self._objects.get(key)
        except NotFound:
            return False
        try:
            header = decode_header(memoryview(data)[: data.find(b"\n")])
        except UnknownOperation as error:
            raise StorageError(f"{key}: {error}") from error
        except BadCommit as error:
            seen.damage = f"commit {seen.head + 1} cannot be read: {error}"
            return False
        if header.prev != seen.head_id:
            seen.damage = f"commit {seen.head + 1} does not follow from the one before"
            return False
        _apply(seen, header)
        return True


def _apply(seen: _Seen, header: Header) -> None:
    seen.head, seen.head_id = header.seq, header.id
    for op in header.ops:
        _apply_one(seen.boxes, op)


def _apply_one(boxes: dict[int, _Box], op: Operation) -> None:
    match op:
        case Create():
            boxes[op.box] = _Box()
        case Delete():
            boxes.pop(op.box, None)
        case Append():
            boxes.setdefault(op.box, _Box()).add(op.uid, op.rec.size)
        case Appends():
            for uid, size in enumerate(op.sizes, op.uid):
                boxes.setdefault(op.box, _Box()).add(uid, size)
        case Expunge() if op.box in boxes:
            boxes[op.box].drop(decode_uids(op.uids))
        case Copy():
            _copy(boxes.setdefault(op.box, _Box()), boxes.setdefault(op.to, _Box()), op)
        case _:
            pass


def _copy(source: _Box, target: _Box, op: Copy) -> None:
    uids = decode_uids(op.uids)
    sizes = [record.size for record in op.recs] if op.recs else [source.size(uid) for uid in uids]
    for offset, size in enumerate(sizes):
        target.add(op.first + offset, size)
    if op.move:
        for uid, size in zip(uids, sizes, strict=False):
            source.sizes[uid] = size
        source.drop(uids)
