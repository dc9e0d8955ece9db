"""Which policy holds for a domain's exchangers: DANE before MTA-STS, REQUIRETLS on top, opportunistic TLS else.

- DANE counts only where MX, addresses and TLSA are all DNSSEC-authentic (RFC 7672 §2.1, §2.2), by a resolver that is
  trusted; a TLSA answer that cannot be had, or is bogus, defers.
- MTA-STS can neither replace nor mend a DANE policy (RFC 8461 §2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mailpod import logs, metrics
from mailpod.clock import Clock
from mailpod.dns.answers import Answer, LookupFailed, Missing, Tlsa
from mailpod.dns.resolver import Resolver
from mailpod.tlspolicy import tlsa
from mailpod.tlspolicy.chain import load, verify
from mailpod.tlspolicy.failure import Deferred, Failure
from mailpod.tlspolicy.policy import Check, Policy, opportunistic
from mailpod.tlspolicy.roots import NoRoots, Roots
from mailpod.tlspolicy.settings import TlsPolicySettings
from mailpod.tlspolicy.sts import StsPolicy
from mailpod.tlspolicy.stscache import Fetches, Keeper, StsCache
from mailpod.tlspolicy.tally import Tally

_MOST_TLSA = 50  # records of one host


class TlsPolicies:
    """One per pod."""

    def __init__(
        self,
        settings: TlsPolicySettings,
        resolver: Resolver,
        roots: Roots,
        fetcher: Fetches,
        clock: Clock,
        keeper: Keeper | None = None,
    ) -> None:
        self._settings, self._resolver, self._roots, self._clock = settings, resolver, roots, clock
        self._sts = StsCache(settings, resolver, fetcher, clock, keeper)
        self.tally = Tally(settings.report_policies)

    async def policy_for(self, domain: str, *, secure: bool, require_tls: bool = False, ignore: bool = False) -> Policy:
        """The policy of a recipient's domain. Raises nothing: what cannot be had is no policy, and reported.

        `secure`: the domain's MX records, or that there are none, are DNSSEC-authentic. `require_tls` is the message's
        REQUIRETLS, and `ignore` its `TLS-Required: No` (RFC 8689).
        """
        if ignore and not require_tls:  # RFC 8689 §4.1: REQUIRETLS goes before the header field
            return opportunistic(domain)
        found = await self._sts.find(domain) if self._settings.mta_sts else None
        policy = self._by_sts(domain, found, secure)
        return _required(policy, self._pkix) if require_tls else policy

    async def at_host(self, policy: Policy, mx_host: str, addresses: Answer[str]) -> Policy:
        """The policy once the exchanger's addresses are known: the one to ask `allows` and to connect by.

        Raises Deferred where it cannot be told now (RFC 7672 §2.1.2): try the next exchanger, or later.
        """
        if not (self._settings.dane and policy.secure):
            return policy
        base, records = await self._find(mx_host, addresses)
        if not records:
            return policy
        fit = [record for record in records if tlsa.usable(record)]
        lines = tuple(map(tlsa.as_text, records))
        if not fit:  # RFC 7672 §2.2: TLS is a must all the same; what authenticates it is then another policy, or none
            return replace(policy, mandatory=True, kind="dane" if policy.verify is None else policy.kind, lines=lines)
        names = {policy.domain, mx_host, base}  # RFC 7672 §3.2.2, §3.2.3
        return replace(
            policy,
            kind="dane",
            mandatory=True,
            hosts=None,
            verify=lambda _, chain: tlsa.check(fit, chain, names, self._clock.now()),
            server_name=base,
            lines=lines,
            patterns=(mx_host,),
        )

    def fixed(self, host: str, *, verify: bool) -> Policy:
        """TLS is a must, with a server that was configured (a smarthost); `verify` its certificate for `host`."""
        return Policy(host, "fixed", mandatory=True, verify=self._pkix if verify else None)

    def record(self, policy: Policy, mx_host: str, failure: Failure | None) -> None:
        """How TLS went with an exchanger, once a connection: a failure even where the policy lets it pass."""
        if self._settings.report:
            self.tally.add(policy, mx_host, failure)
        metrics.OUTBOUND_TLS.labels(policy.kind, failure.result if failure else "ok").inc()
        if failure is not None:
            logs.event(
                "tlspolicy.failed",
                level="warning",
                domain=policy.domain,
                host=mx_host,
                policy=policy.kind,
                enforced=policy.mandatory,
                result=failure.result,
                reason=failure.text,
            )

    def _by_sts(self, domain: str, found: StsPolicy | Failure | None, secure: bool) -> Policy:
        if isinstance(found, Failure):
            return opportunistic(domain, secure=secure, fault=found)
        if found is None or found.mode == "none":
            return opportunistic(domain, secure=secure)
        return Policy(
            domain,
            "sts",
            mandatory=found.mode == "enforce",
            secure=secure,
            hosts=found.names,
            verify=self._pkix,
            lines=found.lines(),
            patterns=found.mx,
        )

    def _pkix(self, mx_host: str, chain: Sequence[bytes]) -> Failure | None:
        """RFC 8461 §4.2."""
        try:
            return verify(load(chain), self._roots.store(), {mx_host}, self._clock.now())
        except (NoRoots, ValueError) as error:
            return Failure("certificate-not-trusted", str(error))

    async def _find(self, mx_host: str, addresses: Answer[str]) -> tuple[str, Sequence[Tlsa]]:
        """The TLSA base domain and its records; none where DANE has nothing to say. Raises Deferred."""
        try:
            for base in await self._bases(mx_host, addresses):
                if records := await self._records(base):
                    return base, records
        except LookupFailed as error:
            raise Deferred(Failure("dnssec-invalid", f"DANE: {error}")) from None
        return mx_host, ()

    async def _bases(self, mx_host: str, addresses: Answer[str]) -> list[str]:
        """RFC 7672 §2.2.2: where the host is an alias, the name that it leads to and then its own."""
        canonical = addresses.canonical or mx_host
        if addresses.authentic:
            return list(dict.fromkeys((canonical, mx_host)))
        if canonical == mx_host:
            return []
        try:
            alias = await self._resolver.cname(mx_host)
        except Missing:
            return []
        return [mx_host] if alias.authentic else []

    async def _records(self, base: str) -> Sequence[Tlsa]:
        try:
            found = await self._resolver.tlsa(f"_25._tcp.{base}")
        except Missing:
            return ()
        return found.records[:_MOST_TLSA] if found.authentic else ()


def make_policies(
    settings: TlsPolicySettings, resolver: Resolver, clock: Clock, keeper: Keeper | None = None
) -> TlsPolicies:
    """Those of a pod."""
    roots = Roots(settings.ca_file)
    return TlsPolicies(settings, resolver, roots, _Fetching(settings, resolver, roots), clock, keeper)


class _Fetching:
    """A Fetcher from the first request on: to load aiohttp takes half a second, and many a pod never needs it."""

    def __init__(self, settings: TlsPolicySettings, resolver: Resolver, roots: Roots) -> None:
        self._parts = settings, resolver, roots
        self._fetcher: Fetches | None = None

    async def policy(self, domain: str) -> StsPolicy:
        if self._fetcher is None:
            from mailpod.tlspolicy.fetching import Fetcher

            self._fetcher = Fetcher(*self._parts)
        return await self._fetcher.policy(domain)


def _required(policy: Policy, pkix: Check) -> Policy:
    """RFC 8689 §4.2.1: the exchangers' names vouched for, their certificates good, the extension offered."""
    hosts = policy.hosts
    if hosts is None or not policy.mandatory:  # no MTA-STS that is enforced
        hosts = None if policy.secure else hosts or _nobody
    return replace(
        policy,
        kind="requiretls" if policy.kind == "none" else policy.kind,
        mandatory=True,
        require_extension=True,
        hosts=hosts,
        verify=policy.verify or pkix,
    )


def _nobody(_: str) -> bool:
    return False
