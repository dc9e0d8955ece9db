"""MTA-STS policies as they are in force (RFC 8461 §3.3, §5.1).

- A policy that was once had holds until its max_age is over, whatever DNS and HTTPS say meanwhile: who can block
  either must not be able to take it away. Only another policy replaces it.
- One request a domain at a time, and none for a while after one that failed.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from mailpod import logs
from mailpod.clock import Clock
from mailpod.dns.answers import DnsError
from mailpod.dns.resolver import Resolver
from mailpod.tlspolicy.failure import CannotFetch, Failure
from mailpod.tlspolicy.settings import TlsPolicySettings
from mailpod.tlspolicy.sts import StsPolicy, parse_record


class Fetches(Protocol):
    async def policy(self, domain: str) -> StsPolicy:
        """Raises CannotFetch."""


@dataclass(slots=True)
class _Known:
    policy: StsPolicy | None = None
    id: str = ""
    since: float = 0.0  # Clock.elapsed of the fetch
    failure: Failure | None = None  # of the newest fetch
    tried: float = float("-inf")


class StsCache:
    """One per pod. `capacity` is the settings' `cache_entries`; the least used go first."""

    def __init__(self, settings: TlsPolicySettings, resolver: Resolver, fetcher: Fetches, clock: Clock) -> None:
        self._settings, self._resolver, self._fetcher, self._clock = settings, resolver, fetcher, clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def find(self, domain: str) -> StsPolicy | Failure | None:
        """The policy in force; None where there is none, or why one that is announced cannot be had."""
        announced = await self._announced(domain)
        known = self._known.get(domain)
        if known is None and announced is None:
            return None
        if announced is not None and self._wants(known, announced):
            await self._shared(domain, announced)
            known = self._known.get(domain)
        if known is None:
            return None
        self._known.move_to_end(domain)
        if known.policy is not None and self._alive(known, known.policy):
            return known.policy
        return known.failure if announced is not None else None

    async def _announced(self, domain: str) -> str | None:
        try:
            return parse_record((await self._resolver.txt(f"_mta-sts.{domain}")).records)
        except DnsError:
            return None

    def _wants(self, known: _Known | None, announced: str) -> bool:
        now, settings = self._clock.elapsed(), self._settings
        if known is None:
            return True
        if known.failure is not None and now - known.tried < settings.fetch_again_seconds:
            return False
        if known.policy is None or known.id != announced:
            return True
        return now - known.since > min(settings.refresh_seconds, known.policy.max_age / 2)

    def _alive(self, known: _Known, policy: StsPolicy) -> bool:
        return self._clock.elapsed() - known.since < min(policy.max_age, self._settings.longest_age)

    async def _shared(self, domain: str, announced: str) -> None:
        """Fetch, or wait with whoever does already; one waiter's cancellation is not the others'."""
        task = self._asking.get(domain)
        if task is None:
            task = self._asking[domain] = asyncio.ensure_future(self._fetch(domain, announced))
            task.add_done_callback(lambda _: self._asking.pop(domain, None))
        await asyncio.shield(task)

    async def _fetch(self, domain: str, announced: str) -> None:
        began = self._clock.elapsed()
        known = self._known.get(domain) or _Known()
        try:
            known.policy, known.id, known.since = await self._fetcher.policy(domain), announced, began
            known.failure = None
        except CannotFetch as error:
            known.failure = error.failure
            logs.event("tlspolicy.fetch_failed", level="warning", domain=domain, reason=error.failure.text)
        known.tried = began
        self._known[domain] = known
        self._known.move_to_end(domain)
        while len(self._known) > self._settings.cache_entries:
            self._known.popitem(last=False)
