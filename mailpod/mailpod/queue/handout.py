"""One attempt to bring a spooled message into the mailboxes that do not have it yet."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from mailpod import logs, metrics
from mailpod.errors import MailError
from mailpod.queue.local import deliver
from mailpod.store.outbound import SpoolEntry

if TYPE_CHECKING:
    from mailpod.services import Services

_RULE: Final = "mailbox"  # the delivery id's rule: straight into INBOX
_DELIVERED: Final = "delivered"
_AT_ONCE: Final = 8  # recipients of one message that are delivered to in parallel


class HandOut:
    """`outcomes` has the recipients that are final, `failed` those of them that will not get it and why."""

    def __init__(self, services: Services, entry: SpoolEntry, message: bytes, known: Mapping[str, str]) -> None:
        """`known` are the outcomes of earlier attempts."""
        self._services = services
        self._entry = entry
        self._message = message
        self.outcomes = dict(known)

    @property
    def open(self) -> list[str]:
        """Recipients without a final outcome."""
        return [recipient for recipient in self._entry.recipients if recipient not in self.outcomes]

    @property
    def failed(self) -> dict[str, str]:
        return {recipient: outcome for recipient, outcome in self.outcomes.items() if outcome != _DELIVERED}

    def expire(self) -> None:
        """The entry is too old to be handed out: accounts may no longer know its delivery ids (STORE.md rule 17)."""
        for recipient in self.open:
            self._final(recipient, "5.4.7 expired")

    async def run(self) -> None:
        """Deliver to every recipient that is open. Those that cannot be reached just now stay open."""
        waiting = self.open

        async def work() -> None:
            while waiting:
                await self._deliver(waiting.pop())

        await asyncio.gather(*(work() for _ in range(min(_AT_ONCE, len(waiting)))))

    async def _deliver(self, recipient: str) -> None:
        try:
            mailbox = await self._services.directory.lookup(recipient)
            if mailbox is None or mailbox.address != recipient:  # removed after the message was accepted
                self._final(recipient, "5.1.1 no such mailbox")
                return
            delivery = f"{self._entry.id} {recipient} {_RULE}"
            # What was acknowledged may overshoot a quota rather than be lost (STORE.md, "What follows")
            added = await deliver(
                self._services,
                mailbox,
                self._entry.sender,
                [self._message],
                delivery_id=delivery,
                within_quota=False,
            )
            self._final(recipient, _DELIVERED, "duplicate" if added.duplicate else _DELIVERED)
        except MailError as error:
            metrics.SPOOL_HANDED_OUT.labels("postponed").inc()
            logs.event("spool.recipient_postponed", level="warning", id=self._entry.id, reason=error.text)

    def _final(self, recipient: str, outcome: str, label: str = "failed") -> None:
        self.outcomes[recipient] = outcome
        metrics.SPOOL_HANDED_OUT.labels(label).inc()
