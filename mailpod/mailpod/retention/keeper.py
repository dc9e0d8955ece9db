"""Deletes what has been in a folder for longer than the Mailbox resource says, once a day, by one pod a domain.

- Nothing is deleted but under the policy that the directory has now: it is read before each commit, past every cache.
- A message goes as if a client had expunged it, in a commit that names it by UID: what came, was moved or expunged
  meanwhile is not touched, by how many pods ever. Who is killed leaves whole batches.
- The time is the bucket's (STORE.md, "Time"): a pod whose clock is wrong deletes nothing early.
"""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING, Final

from mailpod import logs, metrics
from mailpod.errors import AccountClosed, AccountMissing, MailError
from mailpod.retention.due import due, folder_of
from mailpod.store.rounds import Rounds

if TYPE_CHECKING:
    from mailpod.addresses import Address
    from mailpod.directory import MailboxEntry
    from mailpod.retention.settings import RetentionSettings
    from mailpod.services import Services
    from mailpod.store import Account

_DAY: Final = 86400


class Retention:
    """One per pod, which runs it."""

    def __init__(self, services: Services, rng: random.Random | None = None) -> None:
        self._services = services
        self._rng = rng or random.Random()  # noqa: S311  when to look is no secret
        self._rounds: Rounds | None = None

    async def run(self) -> None:
        """For ever."""
        with contextlib.suppress(MailError):
            await self._domains()
        while True:
            await self._services.clock.sleep(self._settings.look_seconds * self._rng.uniform(0.75, 1.25))
            try:
                await self.look()
            except MailError as error:
                logs.event("retention.postponed", level="warning", reason=error.text)

    async def look(self) -> None:
        """Go the rounds of today that are nobody's. Raises MailError."""
        today = await self.rounds.today()
        if today.over:
            await self.rounds.forget(today.over)
        for domain in await self._domains():
            if await self.rounds.claim(today, domain) and await self._round(domain):
                await self.rounds.done(today, domain)

    async def _domains(self) -> list[str]:
        """All, with a count of each at 0 before the first message goes: Prometheus sees no increase otherwise."""
        found = await self.rounds.domains()
        for domain in found:
            metrics.EXPIRED.labels(domain)
        return found

    @property
    def rounds(self) -> Rounds:
        if self._rounds is None:
            store = self._services.store
            self._rounds = Rounds(store.objects, store.clock, claim_seconds=self._settings.claim_seconds)
        return self._rounds

    @property
    def _settings(self) -> RetentionSettings:
        return self._services.settings.retention

    async def _round(self, domain: str) -> bool:
        """Whether each mailbox had its turn; else another pod goes round again."""
        whole = True
        for address in await self.rounds.addresses(domain):
            try:
                await self._mailbox(address)
            except MailError as error:
                whole = False
                logs.event("retention.failed", level="warning", user=str(address), reason=error.text)
        return whole

    async def _mailbox(self, address: Address) -> None:
        entry = await self._policy(address)
        if entry is None:
            return
        account = await self._open(entry)
        try:
            await account.refresh()
            left = self._settings.mailbox_messages
            for folder in entry.retention:
                left -= await self._folder(account, address, folder, left)
        finally:
            account.release()

    async def _policy(self, address: Address) -> MailboxEntry | None:
        """What the directory says now; None where nothing is to be deleted."""
        entry = await self._services.directory.mailbox(address)
        return entry if entry is not None and entry.retention and not entry.suspended else None

    async def _open(self, entry: MailboxEntry) -> Account:
        directory, store = self._services.directory, self._services.store
        try:
            return await store.open(await directory.account(entry))
        except (AccountClosed, AccountMissing):  # STORE.md rule 15
            return await store.open(await directory.account(entry, fresh=True))

    async def _folder(self, account: Account, address: Address, folder: str, most: int) -> int:
        """Delete what is due in one folder, `most` messages; how many those were."""
        gone, days = 0, 0
        while gone < most:
            batch = min(self._settings.batch_messages, most - gone)
            deleted, days = await self._batch(account, address, folder, batch)
            if not deleted:
                break
            gone += deleted
            metrics.EXPIRED.labels(address.domain).inc(deleted)
        if gone:
            logs.event("retention.expired", user=str(address), folder=folder, days=days, messages=gone)
        return gone

    async def _batch(self, account: Account, address: Address, folder: str, most: int) -> tuple[int, int]:
        """Messages deleted, and the days after which."""
        await self._services.store.pace.rest(self._settings.patience)
        entry = await self._policy(address)
        days = entry.retention.get(folder, 0) if entry else 0
        box = folder_of(account.mailboxes, folder)
        if not days or box is None:
            return 0, days
        uids = await due(box, now=await self.rounds.now(), seconds=days * _DAY, most=most)
        if not uids or await self._policy(address) != entry:  # reading the index may have taken long
            return 0, days
        return len(await account.expunge(box, uids)), days
