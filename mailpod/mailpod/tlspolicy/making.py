"""What needs a pod's other parts: MTA-STS policies kept in its bucket, and its reports to other domains.

TLS reports are mail of the postmaster of the domain that the server's name lies in.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from mailpod.store.outbound import SpoolEntry
from mailpod.store.stspolicies import KeptPolicy, StsPolicies
from mailpod.store.tlsreports import TlsReports
from mailpod.tlspolicy.report import Sender
from mailpod.tlspolicy.reporter import Means, Reporter

if TYPE_CHECKING:
    from mailpod.services import Services


class Kept:
    """MTA-STS policies in the pod's bucket."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._made: StsPolicies | None = None

    async def load(self, domain: str) -> tuple[KeptPolicy, float] | None:
        return await self._policies.load(domain)

    async def keep(self, domain: str, policy: KeptPolicy) -> None:
        await self._policies.keep(domain, policy)

    @property
    def _policies(self) -> StsPolicies:
        if self._made is None:
            self._made = StsPolicies(self._services.store.objects, self._services.clock)
        return self._made


def make_reporter(services: Services) -> Reporter:
    """One per pod."""
    rng = random.Random()  # noqa: S311  names are to be unique, not secret

    async def sender() -> Sender | None:
        name = services.settings.hostname
        while name:
            if await services.directory.domain(name) is not None:
                return Sender(name, f"postmaster@{name}")
            name = name.partition(".")[2]
        return None

    async def send_mail(sender: Sender, recipient: str, message: bytes) -> None:
        now, entry_id = services.clock.now(), services.spool.new_id()
        signed = await services.signer.sign(
            message, domain=sender.domain, owner=sender.domain, seconds=now, queue_id=entry_id
        )
        # where it is an address here, its mailboxes; the null reverse-path: nobody is told when it fails
        found = await services.directory.resolve(recipient)
        recipients = tuple(dict.fromkeys(mailbox.address for mailbox in found)) or (recipient,)
        entry = SpoolEntry(entry_id, sender="", recipients=recipients, created=now)
        await services.spool.accept(entry, signed + message)

    return Reporter(
        Means(
            settings=services.settings.tls_policy,
            tally=services.tls_policies.tally,
            store=lambda: TlsReports(services.store.objects, services.clock, rng),
            resolver=services.resolver,
            clock=services.clock,
            rng=rng,
            sender=sender,
            send_mail=send_mail,
        )
    )
