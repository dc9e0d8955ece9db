"""MTA-STS policies as they are in force (RFC 8461 §3.3, §5.1).

- A policy that was once had holds until its max_age is over, whatever DNS and HTTPS say meanwhile: who can block
  either must not be able to take it away. Only another policy replaces it.
- What was had is kept in the bucket, for the pods that come later. Without the bucket it is remembered all the same.
- One request a domain at a time, and none for a while after one that failed.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, cast

from mailpod import logs
from mailpod.clock import Clock
from mailpod.dns.answers import DnsError
from mailpod.dns.resolver import Resolver
from mailpod.errors import MailError
from mailpod.store.stspolicies import KeptPolicy
from mailpod.tlspolicy.failure import CannotFetch, Failure
from mailpod.tlspolicy.settings import TlsPolicySettings
from mailpod.tlspolicy.sts import MODES, Mode, StsPolicy, parse_record


class Keeper(Protocol):
    """The bucket (store/stspolicies.py). Raises Unavailable."""

    async def load(self, domain: str) -> tuple[KeptPolicy, float] | None: ...
    async def keep(self, domain: str, policy: KeptPolicy) -> None: ...


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

    def __init__(
        self,
        settings: TlsPolicySettings,
        resolver: Resolver,
        fetcher: Fetches,
        clock: Clock,
        keeper: Keeper | None = None,
    ) -> None:
        self._settings, self._resolver, self._fetcher, self._clock = settings, resolver, fetcher, clock
        self._keeper = keeper
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def find(self, domain: str) -> StsPolicy | Failure | None:
        """The policy in force; None where there is none, or why one that is announced cannot be had."""
        announced = await self._announced(domain)
        known = self._known.get(domain) or await self._load(domain)
        if announced is not None and self._wants(known, announced):
            await self._shared(domain, announced)
            known = self._known.get(domain, known)
        self._remember(domain, known)
        if known.policy is not None and self._alive(known, known.policy):
            return known.policy
        return known.failure if announced is not None else None

    async def _announced(self, domain: str) -> str | None:
        try:
            return parse_record((await self._resolver.txt(f"_mta-sts.{domain}")).records)
        except DnsError:
            return None

    async def _load(self, domain: str) -> _Known:
        """As other pods, or this one's forebear, kept it."""
        known, found = _Known(), None
        if self._keeper is not None:
            with suppress(MailError):
                found = await self._keeper.load(domain)
        if found is not None and found[0].mode in MODES:
            kept, age = found
            known.policy, known.id = StsPolicy(cast(Mode, kept.mode), kept.max_age, kept.mx), kept.id
            known.since = self._clock.elapsed() - age
        return self._known.setdefault(domain, known)

    async def _keep(self, domain: str, policy: StsPolicy, announced: str) -> None:
        if self._keeper is not None:
            with suppress(MailError):  # with the next one
                await self._keeper.keep(domain, KeptPolicy(announced, policy.mode, policy.max_age, policy.mx))

    def _remember(self, domain: str, known: _Known) -> None:
        self._known[domain] = known
        self._known.move_to_end(domain)
        while len(self._known) > self._settings.cache_entries:
            self._known.popitem(last=False)

    def _wants(self, known: _Known, announced: str) -> bool:
        now, settings = self._clock.elapsed(), self._settings
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
            policy = await self._fetcher.policy(domain)
            known.policy, known.id, known.since, known.failure = policy, announced, began, None
            await self._keep(domain, policy, announced)
        except CannotFetch as error:
            known.failure = error.failure
            logs.event("tlspolicy.fetch_failed", level="warning", domain=domain, reason=error.failure.text)
        known.tried = began
        self._remember(domain, known)
