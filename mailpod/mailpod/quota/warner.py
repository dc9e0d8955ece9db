"""Warns a user by mail, once, when the mailbox reaches a threshold of its quota.

- Whoever brought something into a mailbox says so here (`grown`); no client waits for what is done then. A pod that is
  killed before leaves it to the next growth, on any pod: what counts is how full the mailbox is, not who filled it.
- The warning and the mark that it was given are one commit (store/warning.py), evaluated on the newest state.
- It is written where every pod of the domain reads annotations in the log (DECISIONS, "Format").
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from mailpod import logs, metrics
from mailpod.errors import MailError
from mailpod.quota.letter import letter
from mailpod.store import Limits, NewMessage
from mailpod.store.warning import Thresholds, due, fullness, settled

if TYPE_CHECKING:
    from mailpod.directory import MailboxEntry
    from mailpod.services import Services
    from mailpod.store import Account, AccountRef

_OPERATION: Final = "annotate"  # store/ops.py


class QuotaWarner:
    """One per pod."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._tasks: dict[AccountRef, asyncio.Task[None]] = {}
        settings = services.settings.quota
        self._thresholds = Thresholds(tuple(sorted(settings.warn_percent)), settings.margin_percent)

    def grown(self, account: Account, entry: MailboxEntry) -> None:
        """Something came into the account, which is held, and whose entry in the directory that is."""
        limits = Limits(entry.quota_bytes, entry.quota_messages)
        if limits == Limits() or not self._thresholds.percents or account.ref in self._tasks:
            return
        if (account.ref.domain, account.ref.local) != (entry.domain, entry.local):
            return  # into another's mailbox, whose quota is not known here
        metrics.QUOTA_WARNINGS.labels(entry.domain)  # 0 before the first: Prometheus sees no increase otherwise
        if not settled(account.log.served, limits, self._thresholds):
            account.pins += 1
            self._tasks[account.ref] = asyncio.ensure_future(self._settle(account, entry, limits))

    async def idle(self) -> None:
        """Wait until nobody is being warned."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def close(self) -> None:
        """What is under way is left to the next growth."""
        for task in self._tasks.values():
            task.cancel()
        await self.idle()

    async def _settle(self, account: Account, entry: MailboxEntry, limits: Limits) -> None:
        try:
            domain = await self._services.directory.domain(entry.domain)
            if domain is None or _OPERATION not in domain.reads:
                return
            state = account.log.served
            reached = due(state, limits, self._thresholds)
            warning = NewMessage(self._letter(account, entry, limits, domain.hostname)) if reached else None
            if warned := await account.warn(limits, self._thresholds, warning):
                metrics.QUOTA_WARNINGS.labels(entry.domain).inc()
                logs.event("quota.warned", user=entry.address, percent=warned)
        except MailError as error:
            logs.event("quota.not_warned", level="warning", user=entry.address, reason=error.text)
        except Exception as error:
            logs.crash("quota.crashed", error, user=entry.address)
        finally:
            del self._tasks[account.ref]
            account.release()

    def _letter(self, account: Account, entry: MailboxEntry, limits: Limits, hostname: str) -> bytes:
        state, services = account.log.served, self._services
        return letter(
            entry.address,
            limits,
            Limits(state.usage_bytes, state.usage_messages),
            percent=fullness(state, limits),
            domain=entry.domain,
            hostname=hostname,
            now=services.clock.now(),
            letter_id=services.spool.new_id(),
        )
