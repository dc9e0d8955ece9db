"""Looks of one account: who asks is shown a state that is no older than the question.

- A look holds the account's lock. Who asks while one waits for it shares that one, never one that has begun.
- Who cannot be answered in the time of a commit is told so; it does not wait on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..errors import Unavailable
from ..logs import event
from .log import Log

if TYPE_CHECKING:
    from .account import Account
    from .store import Store


class Looks:
    """Raises Unavailable, AccountClosed or AccountReadOnly."""

    def __init__(self, account: Account, store: Store, log: Log) -> None:
        self._account = account
        self._store = store
        self._log = log
        self._lock = account.lock
        self._next: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        if not self._lock.locked() and self._next is None:
            await self._look()
            return
        if self._next is None:
            self._next = asyncio.ensure_future(self._look())
            self._next.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._next)

    async def _look(self) -> None:
        with self._store.pace:
            await self._lock_in_time()
            try:
                self._next = None  # who comes from here on needs a later look
                if self._log.broken is not None:
                    return
                changed = await self._log.look()
            finally:
                self._lock.release()
        if changed:
            self._account.notify()
            self._store.checkpoint_if_due(self._account)

    async def _lock_in_time(self) -> None:
        """A look behind a commit that the bucket does not answer fails when that fails, not after it."""
        if not self._lock.locked():
            await self._lock.acquire()
            return
        try:
            async with asyncio.timeout(self._store.settings.commit_deadline):
                await self._lock.acquire()
        except TimeoutError:
            self._next = None
            event("store.look.late", level="warning", account=self._account.prefix)
            raise Unavailable from None
