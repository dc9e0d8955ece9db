"""One question to a DNS server, by dnspython."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.rdata
import dns.resolver

from mailpod.dns.answers import LookupFailed, NoData, NoSuchName


@dataclass(frozen=True, slots=True)
class Found:
    """Records of one name and type as dnspython has them."""

    records: tuple[dns.rdata.Rdata, ...]
    canonical: str
    ttl: float
    authentic: bool


class Upstream(Protocol):
    async def ask(self, name: str, type: str) -> Found:
        """`name` is absolute, of A-labels, without its final dot. Raises NoSuchName, NoData, LookupFailed."""


class Server:
    """The server HOST:PORT, or those of the system's resolv.conf."""

    def __init__(self, server: str | None, *, trusted: bool, timeout: float) -> None:
        self._server, self._trusted, self._timeout = server, trusted, timeout
        self._resolver: dns.asyncresolver.Resolver | None = None

    async def ask(self, name: str, type: str) -> Found:
        try:
            found = await self._ready().resolve(f"{name}.", type, lifetime=self._timeout, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN as error:
            answers = error.kwargs.get("responses", {}).values()
            authentic = self._trusted and all(answer.flags & dns.flags.AD for answer in answers)
            raise NoSuchName(f"{name} does not exist", authentic=authentic) from None
        except (dns.exception.DNSException, OSError) as error:
            raise LookupFailed(f"{type} of {name}: {_reason(error)}") from None
        authentic = self._trusted and bool(found.response.flags & dns.flags.AD)
        if found.rrset is None:
            raise NoData(f"{name} has no {type} record", authentic=authentic)
        canonical = found.canonical_name.to_text(omit_final_dot=True).lower()
        return Found(tuple(found.rrset), canonical, float(found.rrset.ttl), authentic)

    def _ready(self) -> dns.asyncresolver.Resolver:
        """Made at the first question: a pod without a usable resolv.conf still starts."""
        if self._resolver is None:
            resolver = dns.asyncresolver.Resolver(configure=self._server is None)
            if self._server is not None:
                host, _, port = self._server.rpartition(":")
                resolver.nameservers, resolver.port = [host.strip("[]")], int(port)
            # RFC 6840 §5.7: AD in a question asks for AD in the answer, without the signatures
            resolver.flags = dns.flags.RD | (dns.flags.AD if self._trusted else 0)
            resolver.use_edns(0, 0, 1232)
            self._resolver = resolver
        return self._resolver


def _reason(error: Exception) -> str:
    return "no answer in time" if isinstance(error, dns.exception.Timeout) else "the resolver cannot answer"
