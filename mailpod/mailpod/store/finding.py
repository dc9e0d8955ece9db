"""Reading what a state names, and finding it again where the state is old (STORE.md rules 9 and 13).

- A 404 on what our state names means that our state is old: bytes were moved, pages written anew, and what was there
  collected. The account is opened again, the message looked for by its UID, and read once more. Only then is it damage.
- A page that is missing after that, and that the newest checkpoint names, means that this checkpoint is not whole: it
  is passed over from then on, for the one before and the log.
- What is found by UID is taken only with the same checksum: the same bytes, whatever mailbox they are found in.
- While another reader opens the account again, what is served is still the old state: it is that one which is compared,
  and `reopen` waits for whoever is at it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from ..errors import Damaged, Expunged, MailError
from ..logs import event
from .location import Location
from .mailbox import Mailbox
from .nearby import Body
from .ops import PageRef
from .page import Page
from .unscanned import scan_rows

if TYPE_CHECKING:
    from .account import Account
    from .store import Store

_MISSING_SECONDS = 60.0  # an object that was looked for in vain is not looked for again so soon


class Finder:
    """Of one account."""

    def __init__(self, account: Account, store: Store) -> None:
        self._account = account
        self._store = store
        self._missing: dict[str, float] = {}  # object: Clock.elapsed until which it is known to be gone

    async def body(self, at: Location, start: int = 0, end: int | None = None) -> bytes:
        """Bytes of a message. Raises Expunged, Damaged or Unavailable."""
        state = self._account.log.served
        try:
            return await self._store.bodies.read(self._account.prefix, at, start, end)
        except Expunged:
            if self._missing.get(at.key, 0.0) > self._store.clock.elapsed():
                raise self._damaged(at) from None
        if self._account.log.served is state and (now := await self._current(at)) == at:
            await self._account.reopen(state)
        now = await self._current(at)
        try:
            return await self._store.bodies.read(self._account.prefix, now, start, end)
        except Expunged:
            self._missing[now.key] = self._store.clock.elapsed() + _MISSING_SECONDS
            raise self._damaged(now) from None

    async def runs(self, places: Sequence[Location]) -> AsyncGenerator[list[Body | MailError], None]:
        """Whole messages, in order, read ahead: some at a time, and Expunged or Damaged in place of one that is."""
        done = 0
        try:
            async with aclosing(self._store.bodies.stream(self._account.prefix, places)) as stream:
                async for run in stream:
                    done += len(run)
                    self._store.pace.stir()
                    yield [*run]
            return
        except Expunged:
            pass
        for at in places[done:]:  # one by one: this is rare
            try:
                yield [await self.body(at)]
            except (Expunged, Damaged) as error:
                yield [error]

    async def bodies(self, places: Sequence[Location]) -> AsyncGenerator[bytes, None]:
        """The same one by one. Raises as `body`."""
        async with aclosing(self.runs(places)) as found:
            async for run in found:
                for each in run:
                    if isinstance(each, MailError):
                        raise each
                    yield bytes(each)

    async def scan_rows(self, page: Page, rows: Sequence[int]) -> Sequence[int]:
        """Find out what is missing in these rows; returns those that are damaged (unscanned.py). Raises Unavailable."""
        return await scan_rows(page, rows, self.runs, inline=self._store.settings.scan_inline_bytes)

    async def scan_in_turns(self, page: Page) -> None:
        """The same of all its rows, when no client waits."""
        inline = self._store.settings.scan_inline_bytes
        await scan_rows(page, sorted(page.unscanned), self.runs, inline=inline, turn=self._store.pace.turn)

    async def _current(self, at: Location) -> Location:
        """Where the message's bytes are by the newest state that we have. Raises Expunged where it is gone."""
        for box in list(self._account.mailboxes.values()):
            if box.index(at.uid) < 0:
                continue
            async for page, rows in box.pages([at.uid], scanned=False):
                found = page.location(rows[0])
                if (found.checksum, found.length) == (at.checksum, at.length):
                    return found
        raise Expunged

    def _damaged(self, at: Location) -> Damaged:
        event("store.body.missing", level="error", account=self._account.prefix, key=at.key, uid=at.uid)
        return Damaged()

    async def load_page(self, ref: PageRef, whole: bool) -> Page:
        self._store.pace.stir()
        return await self._store.load_page(self._account.prefix, ref, whole)

    def read_ahead(self, refs: Sequence[PageRef], whole: bool) -> None:
        self._store.read_ahead(self._account.prefix, refs, whole)

    async def load_table(self, ref: PageRef) -> list[PageRef]:
        return await self._store.load_table(self._account.prefix, ref)

    async def find_again(self, box: Mailbox, ref: PageRef, attempt: int) -> None:
        """`ref`, a page of `box`, is not there. Afterwards the mailbox's pages are others; else raises Damaged."""
        log, state = self._account.log, self._account.log.served
        if box.deleted:
            raise Expunged
        if attempt == 0:
            await self._account.reopen(state)
            return
        async with self._account.lock:  # not while another opens it: `base` would be the one that is being read
            if log.served is not state:
                return
            base = log.base
        if not base or ref.id not in await self._store.named_pages(self._account.prefix, base):
            raise self._page_missing(ref)
        log.checkpoints.distrust(base)
        await self._account.reopen(state)

    def _page_missing(self, ref: PageRef) -> Damaged:
        event("store.page.missing", level="error", account=self._account.prefix, page=ref.id)
        return Damaged("The index of these messages is damaged in storage; contact the administrator")
