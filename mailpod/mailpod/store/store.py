"""A pod's store: the accounts it has open over one bucket, and what they share."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress

from ..clock import Clock
from ..errors import AccountClosed, Damaged, Expunged, MailError, Unavailable
from ..logs import event
from . import indexing
from .account import Account
from .bodies import Bodies, Cache
from .collection import Collected
from .incarnations import AccountRef
from .mailbox import Mailbox
from .objects import Ambiguous, NotFound, ObjectStore, StorageError, reads_at_once
from .ops import PageRef
from .orders import Orders
from .pace import Pace
from .page import BadPage, Page, decode_meta, decode_table
from .searching import Searching
from .settings import StoreSettings
from .upkeep import Upkeep


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
        self.searching = Searching(objects, self.settings)
        self.orders = Orders(self.settings)
        self._pages: Cache[Page] = Cache(self.settings.page_cache_bytes)
        far = reads_at_once(objects, self.settings.read_ahead) > 1
        self.pages_ahead = self.settings.pages_ahead if far else 0
        self._reading: dict[tuple[str, int], asyncio.Task[None]] = {}  # pages that are read ahead
        self._tables: Cache[list[PageRef]] = Cache(self.settings.page_cache_bytes // 8)
        self._accounts: OrderedDict[AccountRef, Account] = OrderedDict()
        self._opening: dict[AccountRef, asyncio.Task[Account]] = {}
        self.pace = Pace(clock, self.settings)
        self._upkeep = Upkeep(self)

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
        idle = [ref for ref, account in self._accounts.items() if account.pins <= 0 and not self._upkeep.busy(ref)]
        for ref in idle[:excess]:
            self._accounts.pop(ref).log.let_go()
            self._upkeep.forget(ref)

    def peek(self, ref: AccountRef) -> Account | None:
        """The account if it is in memory; not held."""
        return self._accounts.get(ref)

    # -- pages

    async def load_page(self, prefix: str, ref: PageRef, whole: bool) -> Page:
        """A metadata page with its UIDs shifted, all of it at once if `whole` (`decode_meta`).

        Raises Expunged (the state is old: rule 13), Damaged, Unavailable.
        """

        async def read() -> Page:
            data = await self._get(prefix, ref)
            try:
                return decode_meta(data, ref.sum, whole=whole).shifted(ref.shift)
            except BadPage as error:
                raise _damaged(prefix, ref) from error

        found = self._pages.get((ref.id, ref.shift))
        return found if found is not None else await self._pages.load((ref.id, ref.shift), read, _weight)

    def read_ahead(self, prefix: str, refs: Sequence[PageRef], whole: bool) -> None:
        """Begin to read metadata pages that are asked for soon. What goes wrong is told whoever asks for them."""
        for ref in refs:
            key = ref.id, ref.shift
            if key not in self._reading and self._pages.get(key) is None:
                self._reading[key] = asyncio.get_running_loop().create_task(self._read_page(prefix, ref, whole))

    async def _read_page(self, prefix: str, ref: PageRef, whole: bool) -> None:
        try:
            with suppress(MailError):
                await self.load_page(prefix, ref, whole)
        finally:
            del self._reading[ref.id, ref.shift]

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

    def peek_page(self, ref: PageRef) -> Page | None:
        """A metadata page that is in memory."""
        return self._pages.get((ref.id, ref.shift))

    def peek_table(self, ref: PageRef) -> list[PageRef] | None:
        return self._tables.get(ref.id)

    def keep_page(self, ref: PageRef, page: Page) -> None:
        self._pages.put((ref.id, ref.shift), page, page.weight)

    # -- upkeep

    def checkpoint_if_due(self, account: Account) -> None:
        """Write a checkpoint in the background (STORE.md rule 8), and after it pack and collect where that is due."""
        self._upkeep.checkpoint_if_due(account)

    async def checkpoint(self, account: Account) -> bool:
        """Write a checkpoint of the account as it is now. False where another pod's is as good, or came first."""
        return await self._upkeep.checkpoint(account)

    async def pack(self, account: Account, *, force: bool = False) -> int:
        """Gather small commits into one pack if it is due, or `force`. Returns the number of messages moved.

        Raises MailError, StorageError, Ambiguous.
        """
        return await self._upkeep.pack(account, force=force)

    def index_if_due(self, account: Account, box: Mailbox) -> None:
        """Write search postings in the background where a search just missed them."""
        if account.log.broken is None and indexing.due(box, self.settings):
            self._upkeep.index_soon(account)

    @property
    def unindexed(self) -> int:
        """Messages without search postings, where postings are due, in accounts that are in memory."""
        boxes = (box for account in self._accounts.values() for box in account.log.served.boxes.values())
        return indexing.behind(boxes, self.settings)

    async def index(self, account: Account) -> bool:
        """Write the search postings of a batch of messages, if it is due.

        Raises MailError, StorageError, Ambiguous.
        """
        return await self._upkeep.index(account)

    async def collect(self, ref: AccountRef) -> Collected:
        """Delete the account's garbage (STORE.md rule 12). Raises StorageError, Ambiguous: then part is done."""
        return await self._upkeep.collect(ref)

    async def named_pages(self, prefix: str, sequence: int) -> set[str]:
        """Ids of the metadata pages that a checkpoint names, its tables' included."""
        return await self._upkeep.named_pages(prefix, sequence)

    async def close(self) -> None:
        """Finish what is under way, and leave a checkpoint where one is due."""
        await self._upkeep.close()
        for task in self._reading.values():
            task.cancel()
        await asyncio.gather(*self._reading.values(), return_exceptions=True)
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
