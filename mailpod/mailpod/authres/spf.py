"""SPF's check_host() (RFC 7208 §4), over the pod's resolver.

- At most ten terms of a check ask the DNS (§4.6.4), however records include each other, and at most two answers may be
  empty: a record cannot make this pod ask for long.
- A look-up that fails is a temperror, never a fail.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias, TypeVar

from mailpod.authres.spfrecord import Address, BadRecord, Mechanism, Query, Record, expand, is_record, parse_record
from mailpod.dns.answers import Answer, LookupFailed, Missing
from mailpod.dns.resolver import Resolver

T = TypeVar("T")
Result: TypeAlias = Literal["none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"]

MOST_TERMS: Final = 10
MOST_VOID: Final = 2
MOST_NAMES: Final = 10  # of an MX or PTR answer


@dataclass(frozen=True, slots=True)
class Spf:
    """The outcome, and the domain that it is of."""

    result: Result
    domain: str
    reason: str = ""


async def check_host(resolver: Resolver, address: str, sender: str, helo: str) -> Spf:
    """Of MAIL FROM, or of HELO where that is empty (§2.4)."""
    local, _, domain = sender.rpartition("@")
    domain = domain or helo
    sender = f"{local or 'postmaster'}@{domain}"  # §4.3
    host = ipaddress.ip_address(address)
    if isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped:
        host = host.ipv4_mapped
    check = _Check(resolver, Query(host, sender, helo))
    try:
        return Spf(await check.evaluate(domain), domain)
    except BadRecord as error:
        return Spf("permerror", domain, str(error))
    except LookupFailed as error:
        return Spf("temperror", domain, str(error))


class _Check:
    """One run, with what it has spent so far."""

    def __init__(self, resolver: Resolver, query: Query) -> None:
        self._resolver = resolver
        self._query = query
        self._terms = self._void = 0

    async def evaluate(self, domain: str) -> Result:
        """Raises BadRecord and LookupFailed, which are permerror and temperror."""
        record = await self._record(domain)
        if record is None:
            return "none"
        for mechanism in record.mechanisms:
            if await self._matches(mechanism, domain):
                return mechanism.result  # type: ignore[return-value]
        if record.redirect is None:
            return "neutral"  # §4.7
        self._spend()
        result = await self.evaluate(await self._expand(record.redirect, domain))
        if result == "none":  # §6.1
            raise BadRecord("redirect leads to no record")
        return result

    async def _record(self, domain: str) -> Record | None:
        if not _is_name(domain):  # §4.3
            return None
        try:
            answer = await self._resolver.txt(domain)
        except Missing:
            return None
        found = [text for text in answer.records if is_record(text)]
        if len(found) > 1:  # §4.5
            raise BadRecord(f"{domain} has several records")
        return parse_record(found[0]) if found else None

    async def _matches(self, mechanism: Mechanism, domain: str) -> bool:
        if mechanism.name == "all":
            return True
        if mechanism.network is not None:
            return self._query.address in mechanism.network
        self._spend()
        name = await self._expand(mechanism.domain, domain) if mechanism.domain else domain
        match mechanism.name:
            case "include":
                result = await self.evaluate(name)
                if result == "none":  # §5.2
                    raise BadRecord(f"{name}, which is included, has no record")
                return result == "pass"
            case "a":
                return await self._is_host(name, mechanism)
            case "mx":
                return await self._is_mx(name, mechanism)
            case "ptr":
                return await self._is_reverse(name)
            case _:
                return bool(await self._ask(self._resolver.a, name))  # §5.7: A, also for IPv6

    async def _is_mx(self, name: str, mechanism: Mechanism) -> bool:
        answers = await self._ask(self._resolver.mx, name)
        if len(answers) > MOST_NAMES:  # §4.6.4
            raise BadRecord(f"{name} has too many MX records")
        for mx in answers:
            if mx.host and await self._is_host(mx.host, mechanism, counted=False):
                return True
        return False

    async def _is_host(self, name: str, mechanism: Mechanism, *, counted: bool = True) -> bool:
        length = mechanism.lengths[self._query.address.version == 6]
        network = ipaddress.ip_network((self._query.address.packed, length), strict=False)
        return any(ipaddress.ip_address(host) in network for host in await self._addresses(name, counted=counted))

    async def _is_reverse(self, name: str) -> bool:
        wanted = name.rstrip(".").lower()
        return any(host == wanted or host.endswith(f".{wanted}") for host in await self._validated())

    async def _validated(self) -> list[str]:
        """§5.5: names of the client's address that lead back to it."""
        try:
            names = await self._ask(self._resolver.ptr, str(self._query.address))
        except LookupFailed:
            return []
        found = []
        for name in names[:MOST_NAMES]:
            try:
                if str(self._query.address) in await self._addresses(name, counted=False):
                    found.append(name.rstrip(".").lower())
            except LookupFailed:
                continue
        return found

    async def _addresses(self, name: str, *, counted: bool) -> tuple[str, ...]:
        ask = self._resolver.aaaa if self._query.address.version == 6 else self._resolver.a
        return await self._ask(ask, name, counted=counted)

    async def _expand(self, spec: str, domain: str) -> str:
        async def validated() -> str:
            """§7.3: the current domain, a name below it, any; in this order."""
            names = await self._validated()
            within = [name for name in names if name.endswith(f".{domain}")]
            return domain if domain in names else (within or names or ["unknown"])[0]

        return await expand(spec, self._query, domain, validated)

    async def _ask(
        self, look_up: Callable[[str], Awaitable[Answer[T]]], name: str, *, counted: bool = True
    ) -> tuple[T, ...]:
        try:
            return (await look_up(name)).records
        except Missing:
            if counted:
                self._void += 1
                if self._void > MOST_VOID:  # §4.6.4
                    raise BadRecord("too many look-ups without an answer") from None
            return ()

    def _spend(self) -> None:
        self._terms += 1
        if self._terms > MOST_TERMS:
            raise BadRecord("too many terms that ask the DNS")


def _is_name(domain: str) -> bool:
    labels = domain.removesuffix(".").split(".")
    return len(labels) > 1 and len(domain) <= 253 and all(0 < len(label) < 64 for label in labels)


@lru_cache(maxsize=1024)
def address_of(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
