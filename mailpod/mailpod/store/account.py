"""An account as the protocols use it: reading from memory, and changes that return when they are durable.

- Looks and commits hold the account's lock; everything read between two awaits is one state.
- looking.py looks for what others wrote, committer.py turns changes into commits, uploads.py writes what they refer to,
  finding.py reads bytes and pages.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncGenerator, Callable, Collection, Hashable, Sequence
from typing import TYPE_CHECKING, Literal

from ..errors import MailError, NoSuchMailbox
from ..mime.likeness import Likeness
from .annotating import annotate
from .annotations import Annotations
from .changes import Changes
from .committer import Committer
from .copying import from_source
from .draft import Appended, Copied, Limits, Prepared
from .finding import Finder
from .granting import grant
from .incarnations import AccountRef, InUse
from .location import Location
from .log import Log
from .looking import Looks
from .mailbox import Mailbox
from .message import NewMessage
from .nearby import Body
from .ops import Close, Operation
from .orders import Order
from .rights import Guard, Who
from .searching import Kept, Narrowed, Resembling, Where
from .settings import StoreSettings
from .sortkeys import ColumnName
from .state import State
from .together import append_together, together
from .uidset import ascending
from .uploads import Uploads
from .urlkeys import UrlKeys
from .warning import Thresholds, warn

if TYPE_CHECKING:
    from .store import Store


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
        self.uploads = Uploads(store, self.prefix)
        self.committer = Committer(self, store, self._log)
        self.finder = Finder(self, store)
        self._looks = Looks(self, store, self._log)
        self.url_keys = UrlKeys(self, store.rng)
        self._changes = Changes()
        self._watchers: dict[int, Callable[[], None]] = {}
        self._watch_id = 0

    def _attach(self, box: Mailbox) -> None:
        box.load_page = self.finder.load_page
        box.load_table = self.finder.load_table
        box.find_again = self.finder.find_again
        box.scan_rows = self.finder.scan_rows
        box.read_ahead, box.pages_ahead = self.finder.read_ahead, self._store.pages_ahead
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
    def annotations(self) -> Annotations:
        """Of the account itself; mailboxes have their own. Replaced when one changes, never changed in place."""
        return self._log.served.annotations

    def changed_since(self, head: int) -> Sequence[Mailbox] | None:
        """Mailboxes whose messages changed after the commit `head`; None where more than that may have."""
        return self._changes.since(self._log.served, head)

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
    def settings(self) -> StoreSettings:
        return self._settings

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
        await self._looks.refresh()

    async def idle(self) -> None:
        """Wait until no commit is under way."""
        await self.committer.idle()

    async def open(self) -> None:
        """Read the account from the bucket; Store.open does it once."""
        async with self._lock:
            await self._log.open()
        self._store.checkpoint_if_due(self)

    async def reopen(self, old: State) -> None:
        """Read the account afresh, unless that happened since `old` was its state (STORE.md rule 13)."""
        async with self._lock:
            if self._log.state is old:
                await self._log.open()
        self.notify()

    # -- commits

    # `guard` raises where the state that a commit follows does not allow it (rights.py); None: whoever asks may.

    async def append(
        self,
        name: str,
        messages: Sequence[NewMessage],
        *,
        limits: Limits | None = None,
        guard: Guard | None = None,
        later: bool = False,
    ) -> Appended:
        """Add messages in one commit. Raises TryCreate, OverQuota, LimitReached, Unavailable.

        `later`: all who read the account know what to do where many came together (together.py).
        """
        batch = together(messages, int(self._store.clock.now()), self._settings) if later else None
        if batch is None:
            prepared = await self.uploads.prepare(messages)
            return await self.append_prepared(name, prepared, limits=limits, guard=guard)
        async with self.uploads.beginning(batch):
            await batch.find_sums()
            return await self.committer.commit(
                lambda draft: append_together(draft, name, batch, limits), batch=batch, guard=guard
            )

    async def append_prepared(
        self,
        name: str,
        prepared: list[Prepared],
        *,
        limits: Limits | None = None,
        guard: Guard | None = None,
    ) -> Appended:
        """As `append`, of messages whose records are known: a restore takes them over from another incarnation."""
        if sum(len(message.data) for message in prepared if message.data is not None) > self._settings.commit_bytes:
            await self.uploads.post(prepared, 0)
        else:
            await self.uploads.post(prepared, self._settings.inline_message_bytes)
        return await self.committer.commit(
            lambda draft: draft.append(name, prepared, limits), prepared=prepared, guard=guard
        )

    async def replace(
        self,
        mailbox: Mailbox,
        uid: int,
        name: str,
        message: NewMessage,
        *,
        limits: Limits | None = None,
        guard: Guard | None = None,
    ) -> Appended:
        """Add `message` to the mailbox `name` and remove `uid` from `mailbox`, in one commit (RFC 8508).

        Raises Expunged where `uid` is gone, and what append() raises; nothing has changed then.
        """
        (prepared,) = await self.uploads.prepare([message])
        await self.uploads.post([prepared], self._settings.inline_message_bytes)
        return await self.committer.commit(
            lambda draft: draft.replace(mailbox, uid, name, prepared, limits),
            exclusive=True,
            prepared=[prepared],
            guard=guard,
        )

    async def store_flags(
        self,
        mailbox: Mailbox,
        uids: Sequence[int],
        mode: Literal["add", "remove", "set"],
        flags: Collection[str],
        *,
        unchanged_since: int | None = None,
        spared: Callable[[str], bool] | None = None,
        guard: Guard | None = None,
    ) -> list[int]:
        """Change flags; UIDs that are gone are passed over. Raises NoSuchMailbox, LimitReached, Unavailable.

        `spared` are the flags that "set" leaves as they are, beyond what is given. Returns, ascending, those left alone
        because their modseq was above `unchanged_since` when it was committed.
        """
        uids = ascending(mailbox.uids, uids)
        return await self.committer.commit(
            lambda draft: draft.store_flags(mailbox, uids, mode, flags, unchanged_since, spared),
            exclusive=unchanged_since is not None or spared is not None,
            guard=guard,
        )

    async def expunge(self, mailbox: Mailbox, uids: Sequence[int], *, guard: Guard | None = None) -> list[int]:
        """Remove exactly these; returns those that were there, ascending."""
        uids = ascending(mailbox.uids, uids)
        return await self.committer.commit(lambda draft: draft.expunge(mailbox, uids), exclusive=True, guard=guard)

    async def copy(
        self,
        mailbox: Mailbox,
        uids: Sequence[int],
        target: str,
        *,
        limits: Limits | None = None,
        guard: Guard | None = None,
    ) -> Copied:
        """Messages that are gone are passed over. Raises TryCreate, OverQuota, Unavailable."""
        return await self._copy(mailbox, uids, target, limits, guard, move=False)

    async def move(self, mailbox: Mailbox, uids: Sequence[int], target: str, *, guard: Guard | None = None) -> Copied:
        """COPY and EXPUNGE in one commit (RFC 6851)."""
        return await self._copy(mailbox, uids, target, None, guard, move=True)

    async def _copy(
        self,
        mailbox: Mailbox,
        uids: Sequence[int],
        target: str,
        limits: Limits | None,
        guard: Guard | None,
        *,
        move: bool,
    ) -> Copied:
        uids = ascending(mailbox.uids, uids)
        return await from_source(
            self, mailbox, lambda: uids, lambda source, draft: draft.copy(mailbox, target, source, limits, move), guard
        )

    async def create(self, name: str, special_use: str | None = None, *, guard: Guard | None = None) -> Mailbox:
        """With missing parents. Raises MailboxExists, CannotDo, LimitReached, Unavailable."""
        await self.committer.commit(lambda draft: draft.create(name, special_use), exclusive=True, guard=guard)
        return self.mailbox(name)

    async def delete(self, name: str, *, guard: Guard | None = None) -> None:
        """Raises NoSuchMailbox, CannotDo, Unavailable."""
        await self.committer.commit(lambda draft: draft.delete(name), exclusive=True, guard=guard)

    async def rename(self, old: str, new: str, *, guard: Guard | None = None) -> None:
        """With the mailboxes below. Raises NoSuchMailbox, MailboxExists, CannotDo, Unavailable."""
        if old.upper() != "INBOX":
            await self.committer.commit(lambda draft: draft.rename(old, new), exclusive=True, guard=guard)
            return
        inbox = self.mailbox("INBOX")
        await from_source(self, inbox, lambda: inbox.uids[:], lambda source, draft: draft.rename_inbox(new, source))

    async def subscribe(self, name: str) -> None:
        await self.committer.commit(lambda draft: draft.subscribe(name))

    async def unsubscribe(self, name: str) -> None:
        await self.committer.commit(lambda draft: draft.unsubscribe(name))

    async def annotate(
        self, name: str, entries: Sequence[tuple[str, str | None]], *, guard: Guard | None = None
    ) -> None:
        """Set annotations of a mailbox, or of the account where `name` is empty; None removes one.

        Raises NoSuchMailbox, TooManyAnnotations, UseNotPossible, Unavailable; then none is changed.
        """
        await self.committer.commit(lambda draft: annotate(draft, name, entries), exclusive=True, guard=guard)

    async def grant(self, name: str, who: Who, change: Callable[[str], str], *, guard: Guard | None = None) -> None:
        """`change` makes of the rights that `who` has in a mailbox those that they will have (rights.py).

        Raises NoSuchMailbox, LimitReached, Unavailable. Only where the domain's entry has "grant" in `reads`.
        """
        await self.committer.commit(lambda draft: grant(draft, name, who, change), exclusive=True, guard=guard)

    async def warn(self, limits: Limits, thresholds: Thresholds, warning: NewMessage | None) -> int:
        """Bring a warning of the quota into INBOX, full or not, if one is due then; returns of which threshold, or 0.

        Raises Unavailable.
        """
        prepared = (await self.uploads.prepare([warning]))[0] if warning is not None else None
        return await self.committer.commit(lambda draft: warn(draft, limits, thresholds, prepared), exclusive=True)

    async def close_incarnation(self) -> None:
        """STORE.md rule 15: the last commit of this incarnation."""
        await self.commit_operation(Close())

    async def commit_operation(self, operation: Operation) -> None:
        """Exactly this, in a commit of its own: for the tools, which know that it applies."""
        await self.committer.commit(lambda draft: draft.operations.append(operation), exclusive=True)

    # -- bytes

    async def body(self, at: Location, start: int = 0, end: int | None = None) -> bytes:
        """Bytes of a message. Raises Expunged, Damaged or Unavailable."""
        with self._store.pace:
            return await self.finder.body(at, start, end)

    def bodies(self, at: Sequence[Location]) -> AsyncGenerator[bytes, None]:
        """Whole messages, in order, read ahead. Raises as `body`."""
        return self.finder.bodies(at)

    def body_runs(self, at: Sequence[Location]) -> AsyncGenerator[list[Body | MailError], None]:
        """The same, some at a time: Expunged or Damaged stands in place of one that is. Raises Unavailable."""
        return self.finder.runs(at)

    async def narrow(self, mailbox: Mailbox, text: str, uids: Sequence[int], where: Where) -> Narrowed:
        """Which of `uids` (ascending) hold `text`, mapped (mime/collation.py), there, and which must be read for it."""
        self._store.index_if_due(self, mailbox)
        with self._store.pace:
            return await self._store.searching.narrow(self.prefix, mailbox, text, uids, where)

    async def in_field(self, mailbox: Mailbox, name: bytes, text: str, uids: Sequence[int]) -> Narrowed:
        """Which of `uids` (ascending) hold `text`, mapped, in a header field (lower case), and which must be read."""
        self._store.index_if_due(self, mailbox)
        with self._store.pace:
            return await self._store.searching.in_field(self.prefix, mailbox, name, text, uids)

    async def resembling(self, mailbox: Mailbox, likeness: Likeness, uids: Sequence[int], where: Where) -> Resembling:
        """How like `uids` (ascending) are to a string there, and which must be read for it."""
        self._store.index_if_due(self, mailbox)
        with self._store.pace:
            return await self._store.searching.resembling(self.prefix, mailbox, likeness, uids, where)

    async def sort_keys(
        self, mailbox: Mailbox, uids: array[int], names: Sequence[ColumnName]
    ) -> tuple[list[Kept], Sequence[int]]:
        """What SORT and THREAD compare, as far as it is kept of `uids` (ascending), and the UIDs of which it is not."""
        kept, left = await self._store.searching.sort_keys(self.prefix, mailbox, uids, names)
        return kept, array("I", left)

    def order(self, mailbox: Mailbox, by: Hashable) -> Order | None:
        """What `keep_order` was given, if that is still in memory: of what is there now, or was."""
        return self._store.orders.get(self.prefix, mailbox, by)

    def keep_order(self, mailbox: Mailbox, by: Hashable, order: Order) -> None:
        """Remember how a whole mailbox is sorted."""
        self._store.orders.put(self.prefix, mailbox, by, order)
