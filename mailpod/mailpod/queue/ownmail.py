"""Mail of the server itself to other domains, such as reports: signed and queued like mail of users.

It is mail of the postmaster of the domain that the server's name lies in, and nobody is told when it fails.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from mailpod.daily import Means, Sender
from mailpod.store.daycounts import DayCounts
from mailpod.store.outbound import SpoolEntry

if TYPE_CHECKING:
    from mailpod.services import Services


class OwnMail:
    """One for each kind of mail, over the pod's parts."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def sender(self) -> Sender | None:
        """None: the server's name lies in no domain of its own."""
        name = self._services.settings.hostname
        while name:
            if await self._services.directory.domain(name) is not None:
                return Sender(name, f"postmaster@{name}")
            name = name.partition(".")[2]
        return None

    async def send(self, sender: Sender, recipient: str, message: bytes) -> None:
        """Raises MailError."""
        services = self._services
        now, entry_id = services.clock.now(), services.spool.new_id()
        signed = await services.signer.sign(
            message, domain=sender.domain, owner=sender.domain, seconds=now, queue_id=entry_id
        )
        # where it is an address here, its mailboxes; the null reverse-path: nobody is told when it fails
        found = await services.directory.resolve(recipient)
        recipients = tuple(dict.fromkeys(mailbox.address for mailbox in found)) or (recipient,)
        entry = SpoolEntry(entry_id, sender="", recipients=recipients, created=now)
        await services.spool.accept(entry, signed + message)


def report_means(services: Services, prefix: str) -> Means:
    """Of a kind of daily report whose counts lie under `prefix` in the bucket."""
    rng = random.Random()  # noqa: S311  names are to be unique, not secret
    own = OwnMail(services)
    return Means(
        store=lambda: DayCounts(services.store.objects, services.clock, rng, prefix),
        resolver=services.resolver,
        clock=services.clock,
        rng=rng,
        sender=own.sender,
        send_mail=own.send,
    )
