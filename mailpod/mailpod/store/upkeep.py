"""What a pod does for an account beside serving it: checkpoints, and after them packing and collection.

- It begins where a checkpoint is due after a commit or an opening (STORE.md rule 8), or a search finds too much that
  has no postings, and nowhere else: nothing here goes over accounts, and an account that nobody uses costs nothing.
- One task an account for checkpoints, one for packs and collection, one for search postings; the latter wait until the
  pod's clients rest (pace.py). What fails is logged, and left to the next time; clients never wait for it.
- After a checkpoint that this pod published: search postings while many messages are without; one pack after the other
  while they are due, each with a checkpoint that takes its moves into the index; then, on average every
  `collect_checkpoints` of them, or as many as are kept, a collection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import TYPE_CHECKING

from ..errors import MailError
from ..logs import event
from .batches import batches
from .buckettime import BucketClock
from .checkpoint import decode_root, encode_root
from .collection import Collected, collect
from .incarnations import AccountRef
from .indexing import due, index
from .names import checkpoint_key
from .objects import AlreadyExists, Ambiguous, NotFound, StorageError
from .ops import PageRef, Recent
from .packing import pack
from .page import BadPage, decode_table
from .planned import Job, Plan, abandon_plan, adopt_plan, complete_root, encode_job
from .planning import Fetched, fetch_moved, make_plan

if TYPE_CHECKING:
    from .account import Account
    from .store import Store

_KINDS = ("checkpoint", "tend", "index")
_LOOP_ROWS = 300  # pages of more messages are encoded in a thread, when no client waits
_TURN_ROWS = 2000  # of pages that are encoded at once


class Upkeep:
    """Of all accounts of a pod."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._settings = store.settings
        self._clock = store.clock
        self._bucket_clock = BucketClock(store.objects, store.clock)
        self._tasks: dict[tuple[str, AccountRef], asyncio.Task[None]] = {}
        self._last: dict[AccountRef, float] = {}  # Clock.elapsed of the last checkpoint
        self._kept: dict[AccountRef, int] = {}  # checkpoints that the last collection read and kept
        self._dead: dict[AccountRef, list[str]] = {}  # packs that the last collection found mostly dead
        self._packing = asyncio.Lock()  # one pack is in memory at a time
        self._indexing = asyncio.Lock()
        self._closing = False

    def busy(self, ref: AccountRef) -> bool:
        return any((kind, ref) in self._tasks for kind in _KINDS)

    def forget(self, ref: AccountRef) -> None:
        """The account left this pod's memory."""
        self._last.pop(ref, None)
        self._dead.pop(ref, None)
        self._kept.pop(ref, None)

    def checkpoint_if_due(self, account: Account) -> None:
        """Write a checkpoint in the background (STORE.md rule 8)."""
        if account.log.checkpoint_due():
            self._begin("checkpoint", account, self._checkpoint_in_time)

    def index_soon(self, account: Account) -> None:
        """Write the search postings that are due, in the background."""
        if any(due(box, self._settings) for box in account.log.served.boxes.values()):
            self._begin("index", account, self._index_all)

    def _begin(self, kind: str, account: Account, work: Callable[[Account], Awaitable[None]]) -> None:
        """Unless it is under way."""
        if not self._closing and (kind, account.ref) not in self._tasks:
            account.pins += 1
            self._tasks[kind, account.ref] = asyncio.ensure_future(self._guarded(kind, account, work))

    async def _guarded(self, kind: str, account: Account, work: Callable[[Account], Awaitable[None]]) -> None:
        try:
            await work(account)
        except (MailError, StorageError, Ambiguous) as error:
            event(f"store.{kind}.failed", level="warning", account=account.prefix, error=str(error))
        except Exception as error:
            event(f"store.{kind}.error", level="error", account=account.prefix, error=repr(error))
        finally:
            del self._tasks[kind, account.ref]
            self._store.release(account)

    async def _checkpoint_in_time(self, account: Account) -> None:
        wait = self._last.get(account.ref, -inf) + self._settings.checkpoint_interval - self._clock.elapsed()
        if wait > 0:
            await self._clock.sleep(wait)
        many = account.log.unscanned_since  # who brings many soon has brought them
        await self._store.pace.rest(self._settings.pack_patience if many else self._settings.checkpoint_interval)
        self._last[account.ref] = self._clock.elapsed()
        if await self.checkpoint(account):
            self.index_soon(account)
            self._begin("tend", account, self._tend)

    async def _tend(self, account: Account) -> None:
        """Packs, and now and then a collection."""
        await self._store.pace.rest(self._settings.pack_patience)
        while await self.pack(account):
            await self.checkpoint(account)
        # a collection reads all that are younger than GRACE: so each is read about once, however many they are
        every = max(self._settings.collect_checkpoints, self._kept.get(account.ref, 0))
        if self._store.rng.random() * every < 1:
            await self.collect(account.ref)

    async def close(self) -> None:
        """Stop what is under way: garbage is all that it leaves."""
        self._closing = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # -- packing and collection

    async def pack(self, account: Account, *, force: bool = False) -> int:
        """Gather small commits, and what is left of mostly dead packs, into one pack. Returns messages moved.

        Raises MailError, StorageError, Ambiguous.
        """
        async with self._packing:
            return await pack(self._store, account, force=force, dead=self._dead.pop(account.ref, ()))

    async def _index_all(self, account: Account) -> None:
        """Search postings of all that is due, and a checkpoint that names them."""
        await self._store.pace.rest(self._settings.pack_patience)  # who brings much soon has brought it
        published = True
        while await self.index(account):
            published = await self.checkpoint(account)
        if not published and account.log.state.head == account.log.base:
            # A checkpoint is of a commit: one that says nothing new, so that the work is not lost with this pod
            await account.commit_operation(Recent(account.mailbox("INBOX").id, 1))
            await self.checkpoint(account)

    async def index(self, account: Account) -> bool:
        """Write the search postings of a batch of messages, if it is due. Raises as `pack`."""
        if self._closing or account.log.broken is not None:
            return False
        async with self._indexing:
            return await index(self._store, account)

    async def collect(self, ref: AccountRef) -> Collected:
        """Delete the account's garbage. Raises StorageError, Ambiguous."""

        async def load_table(table: PageRef) -> list[PageRef]:
            known = self._store.peek_table(table)
            if known is not None:
                return known
            return decode_table(await self._store.objects.get(f"{ref.prefix}page/{table.id}"), table.sum)

        done = await collect(
            self._store.objects, ref.prefix, clock=self._bucket_clock, settings=self._settings, load_table=load_table
        )
        account = self._store.peek(ref)
        if account is not None:
            for sequence in done.broken:
                account.log.checkpoints.distrust(sequence)
            self._dead[ref], self._kept[ref] = done.dead, done.kept
        event("store.collected", account=ref.prefix, commits=done.commits, pages=done.pages, packs=done.packs)
        return done

    async def named_pages(self, prefix: str, sequence: int) -> set[str]:
        """Ids of the pages that a checkpoint names, and that its tables name. Raises Unavailable and as load_table."""
        try:
            root = decode_root(await self._store.objects.get(checkpoint_key(prefix, sequence)))
        except (NotFound, BadPage):
            return set()
        except StorageError as error:
            raise MailError(str(error)) from error
        refs = [ref for box in root.boxes for ref in box.pages]
        for table in [ref for ref in refs if ref.table]:
            refs.extend(await self._store.load_table(prefix, table))
        return {ref.id for ref in refs}

    # -- checkpoints

    async def checkpoint(self, account: Account) -> bool:
        """Write a checkpoint of the account as it is now. False where another pod's is as good, or came first."""
        async with account.checkpointing:
            return await self._checkpoint(account)

    async def _checkpoint(self, account: Account) -> bool:
        log = account.log
        fetched = await self._fetch_moved(account)
        async with account.lock:
            plan = await self._plan(account, fetched)
            if plan is None:
                return False
            state, listed = log.state, log.checkpoints.listed_at
            log.note_checkpoint()
        try:
            for page in plan.unscanned():
                await account.finder.scan_in_turns(page)
            published = await self._publish(account, plan, listed)
        except BaseException:
            if log.state is state:
                abandon_plan(plan)
            raise
        if log.state is not state:
            return published
        if published:
            adopt_plan(plan, state, self._store.keep_page)
            log.base = plan.root.seq
        else:
            abandon_plan(plan)
        return published

    async def _fetch_moved(self, account: Account) -> Fetched:
        try:
            return await fetch_moved(account.log.served, self._settings.fold_pages)
        except MailError:  # the moves stay in the checkpoint for another time
            return Fetched()

    async def _plan(self, account: Account, fetched: Fetched) -> Plan | None:
        """STORE.md rule 8: pages are reused from the newest published checkpoint only, so that one is the base."""
        log = account.log
        if log.broken is not None or log.state.closed:
            return None
        newest = await log.checkpoints.newest()
        if newest != log.base:
            if log.state.head - newest < self._settings.checkpoint_commits:
                log.note_checkpoint()
                return None
            await log.open()
            account.notify()
            if log.broken is not None or log.base != await log.checkpoints.newest():
                return None
        if log.state.head == log.base:
            log.note_checkpoint()
            return None
        return make_plan(log.state, self._settings, self._store.pod, self._store.peek_page, fetched)

    async def _publish(self, account: Account, plan: Plan, listed: float) -> bool:
        for part in batches([job.count for job in plan.jobs], _TURN_ROWS):
            jobs = plan.jobs[part]
            ids = [self._store.random_id() for _ in jobs]
            for identifier, data in zip(ids, await self._encode(jobs, ids), strict=True):
                await account.uploads.write_once(f"{account.prefix}page/{identifier}", data)
        if self._clock.elapsed() - listed >= self._settings.grace / 2:
            return False
        root = complete_root(plan)
        return await self._create_root(checkpoint_key(account.prefix, root.seq), encode_root(root))

    async def _encode(self, jobs: Sequence[Job], ids: Sequence[str]) -> list[bytes]:
        if sum(job.count for job in jobs) <= _LOOP_ROWS:
            return [*map(encode_job, jobs, ids)]
        async with self._store.pace.turn():
            return await asyncio.to_thread(lambda: [*map(encode_job, jobs, ids)])

    async def _create_root(self, key: str, data: bytes) -> bool:
        objects = self._store.objects
        try:
            await objects.create(key, [data])
        except (AlreadyExists, Ambiguous):
            try:
                return await objects.get(key) == data
            except NotFound:
                return False
        return True
