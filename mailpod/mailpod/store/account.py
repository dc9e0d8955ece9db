"""An account as the protocols use it: reading from memory, and changes that return when they are durable.

- One committer an account: intents wait in a queue, and those that arrive while a PUT is in flight share the next
  commit (STORE.md rule 5). A client that goes away does not stop a commit that is under way.
- Looks and commits hold the account's lock; everything read between two awaits is one state.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import lt
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ..errors import Expunged, MailError, NoSuchMailbox, Unavailable
from ..logs import event
from ..mime.scan import scan
from .draft import Appended, Copied, CopySource, Draft, Limits, Prepared, Stale
from .incarnations import AccountRef, InUse
from .log import Log
from .mailbox import Mailbox
from .objects import AlreadyExists, Ambiguous, StorageError
from .ops import Close, Operation, PageRef, Record, replace_location
from .page import Location, Page, checksum, encode_meta

if TYPE_CHECKING:
    from .store import Store

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to be stored exactly so. `internal_date` in Unix seconds, None for now."""

    data: bytes
    flags: frozenset[str] = frozenset()
    internal_date: int | None = None
    delivery_id: str | None = None


@dataclass(slots=True)
class _Intent:
    evaluate: Callable[[Draft], Any]
    exclusive: bool
    size: int
    deadline: float  # Clock.elapsed; when its client is told that it failed
    done: asyncio.Future[Any]
    prepared: list[Prepared]
    result: Any = None


class Account:
    """Open while somebody holds it (`Store.open` … `release`), and in memory for a while after."""

    def __init__(self, store: Store, ref: AccountRef) -> None:
        self.ref = ref
        self.prefix = ref.prefix
        self.pins = 0
        self._store = store
        self._settings = store.settings
        self._log = Log(
            store.objects,
            self.prefix,
            settings=store.settings,
            clock=store.clock,
            rng=store.rng,
            pod=store.pod,
            attach=self._attach,
            in_use=InUse(store.objects, ref),
        )
        self._lock = asyncio.Lock()
        self.checkpointing = asyncio.Lock()  # one checkpoint of an account at a time, while commits go on
        self._intents: deque[_Intent] = deque()
        self._committer: asyncio.Task[None] | None = None
        self._next_look: asyncio.Task[None] | None = None
        self._watchers: dict[int, Callable[[], None]] = {}
        self._watch_id = 0

    def _attach(self, box: Mailbox) -> None:
        box.load_page = self._load_page
        box.load_table = self._load_table
        box.log_limit = self._settings.change_log

    # -- reading from memory

    @property
    def head(self) -> int:
        return self._log.served.head

    @property
    def mailboxes(self) -> dict[str, Mailbox]:
        return self._log.served.names

    @property
    def subscriptions(self) -> set[str]:
        return self._log.served.subscriptions

    @property
    def usage_bytes(self) -> int:
        return self._log.served.usage_bytes

    @property
    def usage_messages(self) -> int:
        return self._log.served.usage_messages

    @property
    def log(self) -> Log:
        """For checkpoints, tests and the tools of operators."""
        return self._log

    @property
    def lock(self) -> asyncio.Lock:
        return self._lock

    def mailbox(self, name: str) -> Mailbox:
        """Raises NoSuchMailbox."""
        box = self._log.served.find(name)
        if box is None:
            raise NoSuchMailbox(name)
        return box

    def release(self) -> None:
        self._store.release(self)

    def watch(self, callback: Callable[[], None]) -> Callable[[], None]:
        """`callback` is called after the state changed; it must not block or raise. Returns what ends it."""
        self._watch_id += 1
        identifier = self._watch_id
        self._watchers[identifier] = callback
        return lambda: self._watchers.pop(identifier, None) and None

    def notify(self) -> None:
        for callback in list(self._watchers.values()):
            callback()

    # -- looking

    async def refresh(self) -> None:
        """Afterwards the state is no older than this call. Raises Unavailable, AccountClosed or AccountReadOnly."""
        if not self._lock.locked() and self._next_look is None:
            await self._look()
            return
        if self._next_look is None:
            self._next_look = asyncio.ensure_future(self._look())
            self._next_look.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._next_look)

    async def _look(self) -> None:
        await self._lock_in_time()
        try:
            self._next_look = None  # who comes from here on needs a later look
            if self._log.broken is not None:
                return
            changed = await self._log.look()
        finally:
            self._lock.release()
        if changed:
            self.notify()
            self._store.checkpoint_if_due(self)

    async def _lock_in_time(self) -> None:
        """A look behind a commit that the bucket does not answer fails when that fails, not after it."""
        if not self._lock.locked():
            await self._lock.acquire()
            return
        try:
            async with asyncio.timeout(self._settings.commit_deadline):
                await self._lock.acquire()
        except TimeoutError:
            self._next_look = None
            raise Unavailable from None

    async def idle(self) -> None:
        """Wait until no commit is under way."""
        if self._committer is not None:
            await asyncio.wait([self._committer])

    async def open(self) -> None:
        """Read the account from the bucket; Store.open does it once."""
        async with self._lock:
            await self._log.open()
        self._store.checkpoint_if_due(self)

    # -- commits

    async def append(self, name: str, messages: Sequence[NewMessage], *, limits: Limits | None = None) -> Appended:
        """Add messages in one commit. Raises TryCreate, OverQuota, LimitReached, Unavailable."""
        return await self.append_prepared(name, [await self._prepare(message) for message in messages], limits=limits)

    async def append_prepared(self, name: str, prepared: list[Prepared], *, limits: Limits | None = None) -> Appended:
        """As `append`, of messages whose records are known: a restore takes them over from another incarnation."""
        if sum(len(message.data) for message in prepared if message.data is not None) > self._settings.commit_bytes:
            await self._post(prepared, 0)
        else:
            await self._post(prepared, self._settings.inline_message_bytes)
        return await self._commit(lambda draft: draft.append(name, prepared, limits), prepared=prepared)

    async def _prepare(self, message: NewMessage) -> Prepared:
        data = message.data
        # A hostile header costs up to a second of CPU a megabyte: large messages are not scanned in the loop.
        found = scan(data) if len(data) <= self._settings.scan_inline_bytes else await asyncio.to_thread(scan, data)
        now = int(self._store.clock.now())
        record = Record(
            date=now if message.internal_date is None else message.internal_date,
            saved=now,
            size=len(data),
            loc=("", 0, len(data)),
            sum=checksum(data).hex(),
            hs=found.header_size,
            env=found.envelope.decode("latin-1"),
            bs=found.bodystructure.decode("latin-1"),
            hdr=found.fields.decode("latin-1"),
            other=found.names.decode("latin-1"),
            parts=found.parts,
        )
        delivery = checksum(message.delivery_id.encode()).hex() if message.delivery_id else ""
        return Prepared(record, data, tuple(sorted(message.flags)), delivery)

    async def _post(self, messages: Sequence[Prepared], threshold: int) -> None:
        """Move the bytes of messages above `threshold` into packs of their own (STORE.md rule 5)."""
        for message in messages:
            if message.data is None or len(message.data) <= threshold:
                continue
            key = f"pack/{self._store.random_id()}"
            await self.write_once(self.prefix + key, bytes(message.data))
            message.record = replace_location(message.record, (key, 0, message.record.loc[2]))
            message.data = None

    async def write_once(self, key: str, data: bytes) -> None:
        """Write an object whose name nobody else has: what is there after a failure can only be ours."""
        wait = self._settings.retry_base
        deadline = self._store.clock.elapsed() + self._settings.commit_deadline
        while True:
            try:
                if len(data) > self._settings.upload_bytes:
                    await self._store.objects.upload(key, _pieces(data, self._settings.upload_bytes))
                else:
                    await self._store.objects.create(key, [data])
                return
            except AlreadyExists:
                return
            except (Ambiguous, StorageError) as error:
                if self._store.clock.elapsed() + wait >= deadline:
                    raise Unavailable from error
            await self._store.clock.sleep(wait * self._store.rng.uniform(0.5, 1.0))
            wait = min(2 * wait, self._settings.retry_cap)

    async def store_flags(
        self,
        mailbox: Mailbox,
        uids: Sequence[int],
        mode: Literal["add", "remove", "set"],
        flags: Collection[str],
    ) -> None:
        """Change flags; UIDs that are gone are passed over. Raises NoSuchMailbox, LimitReached, Unavailable."""
        uids = _ascending(uids)
        await self._commit(lambda draft: draft.store_flags(mailbox, uids, mode, flags))

    async def expunge(self, mailbox: Mailbox, uids: Sequence[int]) -> list[int]:
        """Remove exactly these; returns those that were there, ascending."""
        uids = _ascending(uids)
        return await self._commit(lambda draft: draft.expunge(mailbox, uids), exclusive=True)

    async def copy(self, mailbox: Mailbox, uids: Sequence[int], target: str, *, limits: Limits | None = None) -> Copied:
        """Messages that are gone are passed over. Raises TryCreate, OverQuota, Unavailable."""
        return await self._copy(mailbox, uids, target, limits, move=False)

    async def move(self, mailbox: Mailbox, uids: Sequence[int], target: str) -> Copied:
        """COPY and EXPUNGE in one commit (RFC 6851)."""
        return await self._copy(mailbox, uids, target, None, move=True)

    async def _copy(
        self, mailbox: Mailbox, uids: Sequence[int], target: str, limits: Limits | None, *, move: bool
    ) -> Copied:
        uids = _ascending(uids)
        while True:
            source = await self._copy_source(mailbox, uids)

            def evaluate(draft: Draft, source: CopySource = source) -> Copied:
                return draft.copy(mailbox, target, source, limits, move)

            try:
                return await self._commit(evaluate, exclusive=True)
            except Stale:
                continue

    async def _copy_source(self, mailbox: Mailbox, uids: Sequence[int]) -> CopySource:
        """What the index knows of the messages, as records or, of many, as pages that are written now."""
        live = [uid for uid in uids if mailbox.index(uid) >= 0]
        saved = int(self._store.clock.now())
        if len(live) <= self._settings.copy_inline_messages:
            records = [page.record(row, saved=saved) async for page, rows in mailbox.pages(live) for row in rows]
            return _whole(CopySource(live, records, []), len(records))
        refs: list[PageRef] = []
        pending = Page()
        first = 1
        async for page, rows in mailbox.pages(live):
            for at in range(0, len(rows), self._settings.page_messages):
                pending.take(page, rows[at : at + self._settings.page_messages], saved=saved)
                if len(pending) >= self._settings.page_messages:
                    refs.append(await self._post_page(pending, first))
                    first, pending = first + len(pending), Page()
        if len(pending):
            refs.append(await self._post_page(pending, first))
        return _whole(CopySource(live, [], refs), sum(ref.count for ref in refs))

    async def _post_page(self, page: Page, first: int) -> PageRef:
        page.uids = array("I", range(first, first + len(page)))
        identifier, data = self._store.random_id(), encode_meta(page)
        await self.write_once(f"{self.prefix}page/{identifier}", data)
        return PageRef(identifier, checksum(data), first, first + len(page) - 1, len(page), len(data))

    async def create(self, name: str, special_use: str | None = None) -> Mailbox:
        """With missing parents. Raises MailboxExists, CannotDo, LimitReached, Unavailable."""
        await self._commit(lambda draft: draft.create(name, special_use), exclusive=True)
        return self.mailbox(name)

    async def delete(self, name: str) -> None:
        """Raises NoSuchMailbox, CannotDo, Unavailable."""
        await self._commit(lambda draft: draft.delete(name), exclusive=True)

    async def rename(self, old: str, new: str) -> None:
        """With the mailboxes below. Raises NoSuchMailbox, MailboxExists, CannotDo, Unavailable."""
        if old.upper() != "INBOX":
            await self._commit(lambda draft: draft.rename(old, new), exclusive=True)
            return
        while True:
            inbox = self.mailbox("INBOX")
            source = await self._copy_source(inbox, inbox.uids[:])

            def evaluate(draft: Draft, source: CopySource = source) -> None:
                draft.rename_inbox(new, source)

            try:
                await self._commit(evaluate, exclusive=True)
                return
            except Stale:
                continue

    async def subscribe(self, name: str) -> None:
        await self._commit(lambda draft: draft.subscribe(name))

    async def unsubscribe(self, name: str) -> None:
        await self._commit(lambda draft: draft.unsubscribe(name))

    async def close_incarnation(self) -> None:
        """STORE.md rule 15: the last commit of this incarnation."""
        await self.commit_operation(Close())

    async def commit_operation(self, operation: Operation) -> None:
        """Exactly this, in a commit of its own: for the tools, which know that it applies."""
        await self._commit(lambda draft: draft.operations.append(operation), exclusive=True)

    async def _commit(
        self, evaluate: Callable[[Draft], T], *, exclusive: bool = False, prepared: list[Prepared] | None = None
    ) -> T:
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        messages = prepared or []
        size = sum(len(message.data) for message in messages if message.data is not None)
        deadline = self._store.clock.elapsed() + self._settings.commit_deadline
        self._intents.append(_Intent(evaluate, exclusive, size, deadline, done, messages))
        if self._committer is None:
            self.pins += 1
            self._committer = asyncio.ensure_future(self._run())
        return await done

    async def _run(self) -> None:
        try:
            while self._intents:
                batch = self._take_batch()
                try:
                    await self._commit_batch(batch)
                except MailError as error:
                    _fail(batch, error)
                    self._fail_overdue(error)
                except Exception as error:
                    event("store.commit.error", level="error", account=self.prefix, error=repr(error))
                    _fail(batch, Unavailable())
                self._store.checkpoint_if_due(self)
        finally:
            self._committer = None
            self.release()

    def _fail_overdue(self, error: MailError) -> None:
        """Who waited as long as those that just failed does not get a try, and a wait, of its own."""
        overdue = [intent for intent in self._intents if intent.deadline <= self._store.clock.elapsed()]
        _fail(overdue, error)

    def _take_batch(self) -> list[_Intent]:
        batch = [self._intents.popleft()]
        size = batch[0].size
        while self._intents and not batch[0].exclusive and len(batch) < self._settings.commit_operations:
            following = self._intents[0]
            if following.exclusive or size + following.size > self._settings.commit_bytes:
                break
            size += following.size
            batch.append(self._intents.popleft())
        return batch

    async def _commit_batch(self, batch: list[_Intent]) -> None:
        while batch:
            async with self._lock:
                deadline = min(intent.deadline for intent in batch)
                await self._log.resolve(deadline)
                draft, refused = self._evaluate(batch)
                # A commit proves that it was evaluated on the newest state. "Nothing to do" and "no" prove nothing:
                # they count only after a look.
                proven = bool(draft.operations) and not refused
                won = (proven or not await self._log.look()) and await self._publish(draft, batch, refused, deadline)
            self.notify()
            if won:
                return
            if draft.body_bytes > self._settings.repost_bytes:
                await self._post([message for intent in batch for message in intent.prepared], 0)

    async def _publish(
        self, draft: Draft, batch: list[_Intent], refused: list[tuple[_Intent, Exception]], deadline: float
    ) -> bool:
        """Refuse who is refused, commit the rest. False: another commit came first; the rest is evaluated again."""
        for intent, error in refused:
            batch.remove(intent)
            _refuse(intent, error)
        draft.add_recent()
        won = not draft.operations or await self._log.publish(draft.operations, draft.body, draft.body_bytes, deadline)
        if won:
            self._settle(draft, batch)
            if draft.operations:
                self._store.on_commit(self.prefix, self.head)
        return won

    def _evaluate(self, batch: list[_Intent]) -> tuple[Draft, list[tuple[_Intent, Exception]]]:
        """The batch on the state as it is now, and the intents that it refuses."""
        draft = Draft(self._log.state, self._settings, int(self._store.clock.now()))
        refused: list[tuple[_Intent, Exception]] = []
        batch[:] = [intent for intent in batch if not intent.done.done()]  # the others' clients went away
        for intent in batch:
            try:
                intent.result = intent.evaluate(draft)
            except (MailError, Stale) as error:
                refused.append((intent, error))
        return draft, refused

    def _settle(self, draft: Draft, batch: list[_Intent]) -> None:
        for box in self._log.state.boxes.values() if draft.operations else ():
            box.recent_dirty = False
        for intent in batch:
            if not intent.done.done():
                intent.done.set_result(intent.result)

    # -- bytes and pages

    async def body(self, at: Location, start: int = 0, end: int | None = None) -> bytes:
        """Bytes of a message. Raises Expunged, Damaged or Unavailable."""
        return await self._store.bodies.read(self.prefix, at, start, end)

    def bodies(self, at: Sequence[Location]) -> AsyncIterator[bytes]:
        """Whole messages, in order, read ahead. Raises as `body`."""
        return self._store.bodies.stream(self.prefix, at)

    async def _load_page(self, ref: PageRef) -> Page:
        return await self._store.load_page(self.prefix, ref)

    async def _load_table(self, ref: PageRef) -> list[PageRef]:
        return await self._store.load_table(self.prefix, ref)


def _whole(source: CopySource, found: int) -> CopySource:
    """A message whose record was not found must not take its neighbour's: better no copy than a wrong one."""
    if found != len(source.uids):
        raise Expunged
    return source


def _ascending(uids: Sequence[int]) -> Sequence[int]:
    """Each UID once, in order; what is so already is not copied."""
    if all(map(lt, uids, islice(uids, 1, None))):
        return uids
    return sorted(set(uids))


async def _pieces(data: bytes, size: int) -> AsyncIterator[memoryview]:
    view = memoryview(data)
    for start in range(0, len(data), size):
        yield view[start : start + size]


def _refuse(intent: _Intent, error: Exception) -> None:
    if not intent.done.done():
        intent.done.set_exception(error)


def _fail(batch: list[_Intent], error: MailError) -> None:
    for intent in batch:
        _refuse(intent, error)
