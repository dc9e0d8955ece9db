"""A pod's store: the accounts it has open over one bucket, and what they share."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable

from ..clock import Clock
from ..errors import AccountClosed, Damaged, Expunged, MailError, Unavailable
from ..logs import event
from .account import Account
from .bodies import Bodies, Cache
from .checkpoint import Plan, abandon_plan, adopt_plan, encode_plan, encode_root, make_plan
from .incarnations import AccountRef
from .names import checkpoint_key
from .objects import AlreadyExists, Ambiguous, NotFound, ObjectStore, StorageError
from .ops import PageRef
from .page import BadPage, Page, decode_meta, decode_table
from .settings import StoreSettings

_THREAD_ROWS = 300  # a plan of more messages is encoded in a thread


class Store:
    """One per pod. Accounts that nobody holds stay in memory, the least recently used go first."""

    def __init__(
        self,
        objects: ObjectStore,
        *,
        settings: StoreSettings | None = None,
        clock: Clock,
        rng: random.Random,
        pod: str = "",
        on_commit: Callable[[str, int], None] | None = None,
    ) -> None:
        """`on_commit` is called with an account's prefix and head when a commit of this pod's is durable; it must not
        block or raise."""
        self.on_commit = on_commit or _nobody
        self.objects = objects
        self.settings = settings or StoreSettings()
        self.clock = clock
        self.rng = rng
        self.pod = pod
        self.bodies = Bodies(objects, self.settings)
        self._pages: Cache[Page] = Cache(self.settings.page_cache_bytes)
        self._tables: Cache[list[PageRef]] = Cache(self.settings.page_cache_bytes // 8)
        self._accounts: OrderedDict[AccountRef, Account] = OrderedDict()
        self._opening: dict[AccountRef, asyncio.Task[Account]] = {}
        self._checkpoints: dict[AccountRef, asyncio.Task[None]] = {}
        self._checkpoint_at: dict[AccountRef, float] = {}
        self._closing = False

    def random_id(self) -> str:
        """A name for a page or pack, used once (STORE.md, "Objects")."""
        return f"{self.rng.getrandbits(96):024x}"

    # -- accounts

    async def open(self, ref: AccountRef) -> Account:
        """The account, held until its `release`. Raises AccountMissing, AccountClosed, Unavailable."""
        account = self._accounts.get(ref)
        if account is None:
            account = await self._open(ref)
        self._accounts.move_to_end(ref)
        account.pins += 1
        if account.log.state.closed:
            self.release(account)
            raise AccountClosed
        return account

    async def _open(self, ref: AccountRef) -> Account:
        task = self._opening.get(ref)
        if task is None:
            task = self._opening[ref] = asyncio.ensure_future(self._open_now(ref))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        account = await asyncio.shield(task)
        return self._accounts.setdefault(ref, account)  # it may have been let go before we came to hold it

    async def _open_now(self, ref: AccountRef) -> Account:
        try:
            account = Account(self, ref)
            await account.open()
            self._accounts[ref] = account
            return account
        finally:
            del self._opening[ref]

    def release(self, account: Account) -> None:
        account.pins -= 1
        self._evict()

    def _evict(self) -> None:
        excess = len(self._accounts) - self.settings.idle_accounts
        if excess <= 0:
            return
        idle = [ref for ref, account in self._accounts.items() if account.pins <= 0 and ref not in self._checkpoints]
        for ref in idle[:excess]:
            self._accounts.pop(ref).log.let_go()
            self._checkpoint_at.pop(ref, None)

    def peek(self, ref: AccountRef) -> Account | None:
        """The account if it is in memory; not held."""
        return self._accounts.get(ref)

    # -- pages

    async def load_page(self, prefix: str, ref: PageRef) -> Page:
        """A metadata page with its UIDs shifted. Raises Expunged (the state is old: rule 13), Damaged, Unavailable."""

        async def read() -> Page:
            data = await self._get(prefix, ref)
            try:
                return decode_meta(data, ref.sum).shifted(ref.shift)
            except BadPage as error:
                raise _damaged(prefix, ref) from error

        found = self._pages.get((ref.id, ref.shift))
        return found if found is not None else await self._pages.load((ref.id, ref.shift), read, _weight)

    async def load_table(self, prefix: str, ref: PageRef) -> list[PageRef]:
        """The references in a table page. Raises as load_page."""

        async def read() -> list[PageRef]:
            data = await self._get(prefix, ref)
            try:
                return decode_table(data, ref.sum)
            except BadPage as error:
                raise _damaged(prefix, ref) from error

        return await self._tables.load(ref.id, read, lambda refs: 200 * len(refs))

    async def _get(self, prefix: str, ref: PageRef) -> bytes:
        try:
            return await self.objects.get(f"{prefix}page/{ref.id}")
        except NotFound as error:
            raise Expunged from error
        except StorageError as error:
            raise Unavailable from error

    def _peek_page(self, ref: PageRef) -> Page | None:
        return self._pages.get((ref.id, ref.shift))

    def _keep_page(self, ref: PageRef, page: Page) -> None:
        self._pages.put((ref.id, ref.shift), page, page.weight)

    # -- checkpoints

    def checkpoint_if_due(self, account: Account) -> None:
        """Write a checkpoint in the background (STORE.md rule 8)."""
        if self._closing or account.ref in self._checkpoints or not account.log.checkpoint_due():
            return
        account.pins += 1
        self._checkpoints[account.ref] = asyncio.ensure_future(self._checkpoint_soon(account))

    async def _checkpoint_soon(self, account: Account) -> None:
        try:
            due = self._checkpoint_at.get(account.ref, float("-inf")) + self.settings.checkpoint_interval
            if (wait := due - self.clock.elapsed()) > 0:
                await self.clock.sleep(wait)
            self._checkpoint_at[account.ref] = self.clock.elapsed()
            await self.checkpoint(account)
        except (MailError, StorageError, Ambiguous) as error:
            event("store.checkpoint.failed", level="warning", account=account.prefix, error=str(error))
        except Exception as error:
            event("store.checkpoint.error", level="error", account=account.prefix, error=repr(error))
        finally:
            del self._checkpoints[account.ref]
            self.release(account)

    async def checkpoint(self, account: Account) -> bool:
        """Write a checkpoint of the account as it is now. False where another pod's is as good, or came first."""
        async with account.checkpointing:
            return await self._checkpoint(account)

    async def _checkpoint(self, account: Account) -> bool:
        log = account.log
        async with account.lock:
            plan = await self._plan(account)
            if plan is None:
                return False
            state, listed = log.state, log.listed_at
            log.note_checkpoint()
        try:
            published = await self._publish(account, plan, listed)
        except BaseException:
            if log.state is state:
                abandon_plan(plan)
            raise
        if log.state is not state:
            return published
        if published:
            adopt_plan(plan, state, self._keep_page)
            log.base = plan.root.seq
        else:
            abandon_plan(plan)
        return published

    async def _plan(self, account: Account) -> Plan | None:
        """STORE.md rule 8: pages are reused from the newest published checkpoint only, so that one is the base."""
        log = account.log
        if log.broken is not None or log.state.closed:
            return None
        newest = await log.newest_checkpoint()
        if newest != log.base:
            if log.state.head - newest < self.settings.checkpoint_commits:
                log.note_checkpoint()
                return None
            await log.open()
            account.notify()
            if log.broken is not None or log.base != await log.newest_checkpoint():
                return None
        if log.state.head == log.base:
            log.note_checkpoint()
            return None
        return make_plan(log.state, self.settings, self.pod, self._peek_page)

    async def _publish(self, account: Account, plan: Plan, listed: float) -> bool:
        ids = [self.random_id() for _ in plan.jobs]
        if plan.rows() > _THREAD_ROWS:
            written = await asyncio.to_thread(encode_plan, plan, ids)
        else:
            written = encode_plan(plan, ids)
        for identifier, data in written:
            await account.write_once(f"{account.prefix}page/{identifier}", data)
        if self.clock.elapsed() - listed >= self.settings.grace / 2:
            return False
        return await self._create_root(checkpoint_key(account.prefix, plan.root.seq), encode_root(plan.root))

    async def _create_root(self, key: str, data: bytes) -> bool:
        try:
            await self.objects.create(key, [data])
        except (AlreadyExists, Ambiguous):
            try:
                return await self.objects.get(key) == data
            except NotFound:
                return False
        return True

    async def close(self) -> None:
        """Finish what is under way, and leave a checkpoint where one is due."""
        self._closing = True
        for task in list(self._checkpoints.values()):
            task.cancel()
        if self._checkpoints:
            await asyncio.wait(self._checkpoints.values())
        for account in list(self._accounts.values()):
            await account.idle()
            if account.log.checkpoint_due():
                try:
                    await self.checkpoint(account)
                except (MailError, StorageError, Ambiguous) as error:
                    event("store.checkpoint.failed", level="warning", account=account.prefix, error=str(error))


def _weight(page: Page) -> int:
    return page.weight


def _nobody(prefix: str, head: int) -> None:
    """Nobody is told of commits."""


def _damaged(prefix: str, ref: PageRef) -> Damaged:
    event("store.page.damaged", level="error", account=prefix, page=ref.id, first=ref.first, last=ref.last)
    return Damaged("The index of these messages is damaged in storage; contact the administrator")
