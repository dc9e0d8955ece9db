"""`mailpod restore`: an account as it was, as a new incarnation (STORE.md rule 16).

- The old incarnation is closed first, so that nothing more is acknowledged into it. Nothing of it is deleted.
- The new one is written whole and checked before `incarnation/<n>` names it: that one creation is the restore. Killed
  before it, the address answers 451 and the restore is run again; what it left is found by fsck, and nobody reads it.
- Every folder gets a new UIDVALIDITY, above all that the address ever had, and every message a new UID; EMAILIDs stay.
- Bytes are written again: they are shared only inside one incarnation (rule 11).
- Access keys are not: what a URL opened before, it opens no more (urlkeys.py).
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from mailpod.checksum import checksum
from mailpod.clock import Clock
from mailpod.errors import AccountClosed, AccountReadOnly, Damaged, MailError
from mailpod.store import incarnations
from mailpod.store.account import Account
from mailpod.store.annotations import SPECIAL_USE
from mailpod.store.check.account import check_account
from mailpod.store.check.contents import contents
from mailpod.store.check.finding import Findings, Progress, no_progress
from mailpod.store.check.index import Index, MissingPage
from mailpod.store.check.replay import Walk, read_header, walk_log
from mailpod.store.closing import PurgeRecord
from mailpod.store.draft import Prepared
from mailpod.store.incarnations import AccountRef, Incarnation
from mailpod.store.lifecycle import create_log
from mailpod.store.location import Location
from mailpod.store.mailbox import Mailbox
from mailpod.store.names import incarnation_key, incarnation_prefix, log_key, purge_key
from mailpod.store.objects import AlreadyExists, Ambiguous, Entry, NotFound, ObjectStore, StorageError
from mailpod.store.ops import VERSION, Close, Header, encode_header
from mailpod.store.page import BadPage
from mailpod.store.rights import Who
from mailpod.store.settings import StoreSettings
from mailpod.store.state import INBOX, State
from mailpod.store.store import Store

_QUIET: Final = StoreSettings(checkpoint_commits=1 << 40, checkpoint_header_bytes=1 << 60)
_BATCH_BYTES: Final = 4 << 20
_BATCH_MESSAGES: Final = 200
_TRIES: Final = 5


class CannotRestore(Exception):
    """There is nothing to restore from, or what was written is not whole; the text says what."""


@dataclass(slots=True)
class Restored:
    """What was done. Times are Unix seconds."""

    old: Incarnation
    new: Incarnation
    commit: int
    """The last commit that the restored state has."""
    at: int
    """When that was made, by its pod's clock."""
    folders: int = 0
    messages: int = 0
    bytes: int = 0
    lost: list[str] = field(default_factory=list)
    """Messages that could not be had, in words."""
    left_out: int = 0
    """Commits after that one that the restored account does not have."""
    reason: str = ""
    """Why they are left out, where it was not asked for."""


async def restore(
    objects: ObjectStore,
    domain: str,
    local: str,
    *,
    clock: Clock,
    rng: random.Random,
    past: ObjectStore | None = None,
    progress: Progress = no_progress,
) -> Restored:
    """Restore an address from `past`, the bucket as it was, or from the last consistent commit that is there now.

    Raises CannotRestore, StorageError, Ambiguous, Unavailable.
    """
    candidates, highest = await _source(objects, domain, local)
    old = candidates[-1]
    ref = AccountRef(domain, local, old.id)
    progress(0.0, "closing the old incarnation")
    await _close(objects, ref, clock, rng)
    walk, index = await _walk(objects, ref.prefix)
    floor, head = max(old.floor, walk.last_uidvalidity), (await contents(objects, ref.prefix)).head - 1
    prefix = ref.prefix
    if past is not None:
        prefix = await _in_use_then(past, domain, local, candidates)
        walk, index = await _walk(past, prefix)
        floor = max(floor, walk.last_uidvalidity)
    state = walk.state
    if state is None or state.head == 0:
        raise CannotRestore("neither commit 1 nor a whole checkpoint of it can be read")
    made = Incarnation(highest + (1 if old.number < highest else 2), rng.randbytes(16).hex(), floor)
    done = Restored(old, made, state.head - state.closed, state.head_at, reason=walk.reason if past is None else "")
    done.left_out = max(head - done.commit, 0)
    new = AccountRef(domain, local, made.id)
    await create_log(objects, new, floor=floor, clock=clock, rng=rng)
    view: Any = _Named(objects, incarnation_key(domain, local, made.number), made)
    store = Store(view, settings=_QUIET, clock=clock, rng=rng, pod="restore")
    await _Copy(past or objects, prefix, store, new, state, index, done, progress).run()
    await _verify(objects, new, done)
    await _name(objects, ref, highest, made, rng)
    progress(1.0, "")
    return done


class _Named:
    """The bucket as it will be: the incarnation that is being written is the one in use."""

    def __init__(self, inner: ObjectStore, key: str, made: Incarnation) -> None:
        self._inner = inner
        self._key = key
        self._data = incarnations.encode(made)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def get(self, key: str) -> bytes:
        return self._data if key == self._key else await self._inner.get(key)

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        found = await self._inner.list(prefix, after=after, limit=limit)
        return [*found, Entry(self._key, len(self._data), 0.0)] if prefix == _folder(self._key) else found


def _folder(key: str) -> str:
    return key.rpartition("/")[0] + "/"


async def discard(objects: ObjectStore, domain: str, local: str, number: int) -> None:
    """Have the operator erase an earlier incarnation, one GRACE after it was replaced (STORE.md rule 15).

    Raises CannotRestore, StorageError, Ambiguous.
    """
    newest = await incarnations.latest(objects, domain, local)
    try:
        old = await incarnations.read(objects, incarnation_key(domain, local, number))
        after = await incarnations.read(objects, incarnation_key(domain, local, number + 1))
    except NotFound:
        raise CannotRestore(f"incarnation {number} was not replaced by a restore") from None
    if newest is None or newest.number <= number or old.absent or not after.absent:
        raise CannotRestore(f"incarnation {number} was not replaced by a restore")
    try:
        await objects.create(purge_key(domain, local, number), [msgspec.json.encode(PurgeRecord(old.id, "")) + b"\n"])
    except AlreadyExists:
        return


async def _source(objects: ObjectStore, domain: str, local: str) -> tuple[list[Incarnation], int]:
    """The incarnations that had an account, ascending, and the highest number there is."""
    found = await objects.list(incarnation_prefix(domain, local))
    read = [await incarnations.read(objects, entry.key) for entry in found]
    with_account = [one for one in read if not one.absent]
    if not with_account:
        raise CannotRestore("the address never had an account")
    return with_account, read[-1].number


async def _close(objects: ObjectStore, ref: AccountRef, clock: Clock, rng: random.Random) -> None:
    """Nothing is appended to it from now on: by a close commit, or by an object at the next sequence."""
    account = Account(Store(objects, settings=_QUIET, clock=clock, rng=rng, pod="restore"), ref)
    account.pins = 1
    try:
        await account.open()
        await account.close_incarnation()
    except AccountClosed:
        return
    except AccountReadOnly:
        await _block(objects, ref, clock, rng)
    except MailError as error:
        if (await contents(objects, ref.prefix)).commits:
            raise StorageError(f"the old incarnation cannot be closed: {error}") from error
    finally:
        await account.idle()


async def _block(objects: ObjectStore, ref: AccountRef, clock: Clock, rng: random.Random) -> None:
    """A close commit after all that is there, though what is there is damaged: pods that go on behind the damage meet
    it, and pods that cannot read it are read-only already."""
    for _ in range(_TRIES):
        head = (await contents(objects, ref.prefix)).head
        last = await read_header(objects, ref.prefix, head)
        if isinstance(last, tuple) and any(isinstance(op, Close) for op in last[0].ops):
            return None
        before = last[0].id if isinstance(last, tuple) else ""
        line = encode_header(
            Header(
                VERSION, f"{rng.getrandbits(96):024x}", before, head + 1, int(clock.now()), "restore", ops=(Close(),)
            )
        )
        try:
            return await objects.create(log_key(ref.prefix, head + 1), [line])
        except (AlreadyExists, Ambiguous):
            continue
    raise StorageError("the old incarnation cannot be closed: it is written all the time")


async def _in_use_then(past: ObjectStore, domain: str, local: str, candidates: Sequence[Incarnation]) -> str:
    """The account's folder that was in use at that time: an earlier restore may have come since."""
    for one in reversed(candidates):
        prefix = AccountRef(domain, local, one.id).prefix
        if not (await contents(past, prefix)).empty:
            return prefix
    raise CannotRestore("the address had no account at that time, or its versions have expired")


async def _walk(objects: ObjectStore, prefix: str) -> tuple[Walk, Index]:
    """What the log comes to, and how to read the pages of that state."""
    found = await contents(objects, prefix)
    index = Index(objects, found)
    await index.read()
    return await walk_log(objects, found, index, Findings()), index


class _Copy:
    """Folders, then messages in batches, then a checkpoint."""

    def __init__(
        self, source: ObjectStore, prefix: str, store: Store, new: AccountRef, state: State, index: Index,
        done: Restored, progress: Progress,
    ) -> None:  # fmt: skip
        self._source = source
        self._prefix = prefix
        self._store = store
        self._ref = new
        self._state = state
        self._index = index
        self._done = done
        self._progress = progress
        self._deliveries = [digest.hex() for ids in state.deliveries.values() for digest in sorted(ids)]
        self._total = sum(box.exists for box in state.boxes.values()) or 1
        self._object: tuple[str, bytes] = ("", b"")

    async def run(self) -> None:
        account = await self._store.open(self._ref)
        try:
            await self._folders(account)
            for box in sorted(self._state.boxes.values(), key=lambda box: box.id):
                await self._messages(account, box)
            await self._store.checkpoint(account)
        finally:
            account.release()
            await account.idle()

    async def _folders(self, account: Account) -> None:
        for name in [name for name in account.mailboxes if name not in self._state.names and name != INBOX]:
            await account.delete(name)
        for name, box in account.mailboxes.items():
            if box.special_use not in (None, self._state.names[name].special_use):
                await account.annotate(name, [(SPECIAL_USE, None)])  # its use may be another's now
        for box in sorted(self._state.boxes.values(), key=lambda box: box.name):
            if box.name not in account.mailboxes:
                await account.create(box.name, box.special_use)
            await self._annotations(account, box)
        if self._state.annotations:
            await account.annotate("", list(self._state.annotations.items()))
        for name in sorted(account.subscriptions - self._state.subscriptions):
            await account.unsubscribe(name)
        for box in self._state.boxes.values():
            for who, (incarnation, rights) in sorted(box.acl.items()):
                await account.grant(box.name, Who(who, incarnation), rights.__add__)
        for name in sorted(self._state.subscriptions):
            await account.subscribe(name)
        self._done.folders = len(self._state.boxes)

    async def _annotations(self, account: Account, box: Mailbox) -> None:
        entries: list[tuple[str, str | None]] = list(box.annotations.items())
        if account.mailbox(box.name).special_use != box.special_use:
            entries.append((SPECIAL_USE, box.special_use))
        if entries:
            await account.annotate(box.name, entries)

    async def _messages(self, account: Account, box: Mailbox) -> None:
        batch: list[Prepared] = []
        size = 0
        async for message in self._read(box):
            batch.append(message)
            size += message.record.size
            if size >= _BATCH_BYTES or len(batch) >= _BATCH_MESSAGES:
                await account.append_prepared(box.name, batch)
                batch, size = [], 0
        if batch:
            await account.append_prepared(box.name, batch)

    async def _read(self, box: Mailbox) -> AsyncIterator[Prepared]:
        for uid in list(box.uids):
            try:
                async for page, rows in box.pages([uid]):
                    for row in rows:
                        data = await self._bytes(page.location(row))
                        record = page.record(row, saved=page.saved[row])
                        flags = tuple(sorted(box.flag_sets[box.flags[box.index(uid)]]))
                        self._done.messages += 1
                        self._done.bytes += len(data)
                        yield Prepared(record, data, flags, self._deliveries.pop() if self._deliveries else "")
            except (BadPage, MissingPage):
                self._done.lost.append(f"UID {uid} of {box.name!r}: its index is damaged")
            except (NotFound, Damaged, _Damaged):
                self._done.lost.append(f"UID {uid} of {box.name!r}: its bytes are damaged")
            self._progress(0.1 + 0.8 * (self._done.messages + len(self._done.lost)) / self._total, box.name)

    async def _bytes(self, at: Location) -> bytes:
        """Raises NotFound, _Damaged, StorageError. The last object that was read is kept: its neighbours come next."""
        key = self._prefix + at.key
        if self._object[0] != key:
            size = self._index.size(at.key)
            if size is None or size > _BATCH_BYTES:
                return _sound(await self._source.get_range(key, at.offset, at.offset + at.length), at)
            self._object = key, await self._source.get(key)
        return _sound(self._object[1][at.offset : at.offset + at.length], at)


class _Damaged(Exception):
    """The bytes are not those that were received."""


def _sound(data: bytes, at: Location) -> bytes:
    if checksum(data) != at.checksum:
        raise _Damaged
    return data


async def _verify(objects: ObjectStore, new: AccountRef, done: Restored) -> None:
    report = await check_account(objects, new.prefix, "")
    if report.findings.damaged or report.live.messages != done.messages:
        raise CannotRestore(f"what was written is not whole, and is not used: {report.findings.items[:1]}")


async def _name(objects: ObjectStore, ref: AccountRef, highest: int, made: Incarnation, rng: random.Random) -> None:
    """The restored incarnation comes into use. Where a number is left between it and the old one, that one says that
    the old one is over, so that it can be purged as a deleted account is."""
    await _create(objects, ref, made)
    if made.number > highest + 1:
        await _create(objects, ref, Incarnation(highest + 1, rng.randbytes(16).hex(), made.floor, absent=True))


async def _create(objects: ObjectStore, ref: AccountRef, made: Incarnation) -> None:
    for _ in range(_TRIES):
        try:
            return await incarnations.create(objects, ref.domain, ref.local, made)
        except AlreadyExists:
            there = await incarnations.read(objects, incarnation_key(ref.domain, ref.local, made.number))
            if there.id == made.id or (there.absent and made.absent):
                return None
            raise CannotRestore(f"incarnation {made.number} was made by another meanwhile: run it again") from None
        except Ambiguous:
            continue
    raise StorageError(f"incarnation {made.number}: the bucket does not say whether it was created")
