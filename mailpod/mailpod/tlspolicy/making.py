"""What needs a pod's other parts: MTA-STS policies kept in its bucket, and its reports to other domains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.queue.ownmail import report_means
from mailpod.store.daycounts import TLS_PREFIX
from mailpod.store.stspolicies import KeptPolicy, StsPolicies
from mailpod.tlspolicy.reporter import Reporter

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
    return Reporter(report_means(services, TLS_PREFIX), services.settings.tls_policy, services.tls_policies.tally)
