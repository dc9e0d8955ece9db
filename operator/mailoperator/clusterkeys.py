"""The key Secrets of every server: asked for by each reconciliation, worked on only where something changed.

- Hundreds of MailDomains of one host ask for the same 16 Secrets: one works, the others take what it found.
- Only the Secrets of domains that changed are read; all of them after `fresh_for` seconds, which repairs what somebody
  changed by hand, and carries out what is due by time.
- Before the first complete LIST, nothing of a domain that was not seen yet is taken away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from mailoperator.build.inputs import CERTIFICATES
from mailoperator.certificates import offer_of, secret_name
from mailoperator.conditions import Condition
from mailoperator.dkim import DkimSchedule, KeyPair
from mailoperator.dnscheck import DnsChecker
from mailoperator.hostkeys import Member, Report, Rules, Writer, reconcile_keys
from mailoperator.kube import Raw
from mailoperator.model import MailDomain
from mailoperator.world import TLS_SECRET, Key, World
from mailpod.clock import Clock

_UNWATCHED: Final = 30.0  # seconds, after which a Secret that the watch has not is read again
_Print: TypeAlias = tuple[object, ...]


class KeysApi(Writer, Protocol):
    """What of Kube is needed."""

    async def has_api(self, group_version: str, kind: str) -> bool: ...


@dataclass(slots=True)
class _Host:
    """What was found for a host at its last visits."""

    working: asyncio.Lock = field(default_factory=asyncio.Lock)
    prints: dict[str, _Print] = field(default_factory=dict)  # by domain name
    reports: dict[str, Report] = field(default_factory=dict)
    complete_at: float | None = None  # Clock.elapsed, when all Secrets were last looked at


class ClusterKeys:
    """`context.Keys`. `checker` None: DNS is not looked at, so that no successor of a DKIM key could be trusted."""

    def __init__(
        self,
        kube: KeysApi,
        world: World,
        clock: Clock,
        *,
        schedule: DkimSchedule,
        checker: DnsChecker | None,
        fresh_for: float = 240.0,
    ) -> None:
        self._kube, self._world, self._clock, self._fresh_for = kube, world, clock, fresh_for
        self._rules = Rules(
            schedule=schedule if checker else schedule.model_copy(update={"rotate_days": None}),
            resolves=checker.resolves if checker else lambda domain, pair: False,
            now=clock.now,
            all_known=lambda: "MailDomain" in world.listed,
        )
        self._hosts: dict[str, _Host] = {}  # by the host's uid

    async def ensure(self, host: MailDomain, members: Sequence[MailDomain]) -> Mapping[Key, Condition]:
        """Pack the keys of all that a host serves (`members`, complete); CertificateReady of each. Raises ApiError."""
        everyone = [*members] if any(member.key == host.key for member in members) else [host, *members]
        state = self._hosts.setdefault(host.metadata.uid, _Host())
        async with state.working:
            prints = {domain.spec.domain_name: self._print(domain) for domain in everyone}
            changed = {
                name for name in prints.keys() | state.prints.keys() if prints.get(name) != state.prints.get(name)
            }
            now = self._clock.elapsed()
            complete = state.complete_at is None or now - state.complete_at >= self._fresh_for
            if changed or complete:
                await self._visit(state, host, everyone, None if complete else frozenset(changed))
                state.prints = prints
                state.complete_at = now if complete else state.complete_at
        return {domain.key: state.reports[domain.spec.domain_name].certificate for domain in everyone}

    def published(self, host: MailDomain, domain_name: str) -> tuple[KeyPair, ...]:
        """DKIM pairs of a domain, whose records are to be in the DNS; none before `ensure` found them."""
        state = self._hosts.get(host.metadata.uid)
        report = state.reports.get(domain_name) if state else None
        return report.dkim if report else ()

    def forget(self, host: str) -> None:
        """The host with this uid has gone, and its Secrets with it."""
        self._hosts.pop(host, None)

    async def _visit(
        self, state: _Host, host: MailDomain, everyone: Sequence[MailDomain], only: frozenset[str] | None
    ) -> None:
        wants_issuer = any(domain.spec.tls and domain.spec.tls.issuer_ref for domain in everyone)
        has_cert_manager = wants_issuer and await self._kube.has_api(CERTIFICATES, "Certificate")
        members = [
            Member(
                domain.spec.domain_name,
                domain.certificate_names,
                await offer_of(domain, self._kube, known=self._known(domain), has_cert_manager=has_cert_manager),
            )
            for domain in everyone
        ]
        found = await reconcile_keys(self._kube, host, members, self._rules, only=only)
        names = {member.domain for member in members}
        state.reports = {name: report for name, report in (state.reports | found).items() if name in names}

    def _known(self, domain: MailDomain) -> Raw | None:
        name = secret_name(domain)
        return self._world.get("Secret", (domain.metadata.namespace, name)) if name else None

    def _print(self, domain: MailDomain) -> _Print:
        """Changes with whatever a domain's certificate comes from."""
        known, name = self._known(domain), secret_name(domain)
        if name and known is None:
            known = self._world.get(TLS_SECRET, (domain.metadata.namespace, name))
        if name is None:
            source: object = None
        elif known is None:
            source = int(self._clock.elapsed() // _UNWATCHED)
        else:
            source = known["metadata"].get("resourceVersion")
        return domain.metadata.uid, domain.certificate_names, domain.spec.tls, source
