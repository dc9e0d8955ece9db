"""Look-ups in the DNS, remembered as long as their TTL says, one at a time a question.

- A failure is not remembered, and never taken for an absence.
- Names are given in any form and asked as A-labels.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, TypeVar

import dns.rdata
import dns.reversename
import idna

from mailpod.clock import Clock
from mailpod.dns.answers import Answer, DnsError, LookupFailed, Missing, Mx, NoData, NoSuchName, Tlsa
from mailpod.dns.settings import DnsSettings
from mailpod.dns.upstream import Found, Server, Upstream

T = TypeVar("T")
_MOST_RECORDS: Final = 100  # of one answer: what follows is ignored


class Resolver:
    """One per pod. Every method raises NoSuchName, NoData or LookupFailed."""

    def __init__(self, settings: DnsSettings, clock: Clock, upstream: Upstream | None = None) -> None:
        self._settings, self._clock = settings, clock
        self._upstream = upstream or Server(settings.resolver, trusted=settings.trusted, timeout=settings.timeout)
        self._slots = asyncio.Semaphore(settings.parallel)
        self._known: OrderedDict[tuple[str, str], tuple[Found | Missing, float]] = OrderedDict()
        self._asking: dict[tuple[str, str], asyncio.Task[Found | DnsError]] = {}

    async def mx(self, domain: str) -> Answer[Mx]:
        """In no order. RFC 7505's null MX is the one record with host ""."""
        return await self._records(domain, "MX", lambda rd: Mx(rd.preference, _name(rd.exchange)))

    async def a(self, host: str) -> Answer[str]:
        """IPv4 addresses."""
        return await self._records(host, "A", lambda rd: str(rd.address))

    async def aaaa(self, host: str) -> Answer[str]:
        """IPv6 addresses."""
        return await self._records(host, "AAAA", lambda rd: str(rd.address))

    async def addresses(self, host: str) -> Answer[str]:
        """IPv6 addresses, then IPv4 ones. Those of one family do where the other's look-up fails."""
        found = await asyncio.gather(self.aaaa(host), self.a(host), return_exceptions=True)
        answers = [answer for answer in found if isinstance(answer, Answer)]
        if answers:
            records = tuple(address for answer in answers for address in answer.records)
            authentic = all(answer.authentic for answer in answers)
            return Answer(records, authentic, min(answer.ttl for answer in answers), answers[0].canonical)
        for kind in (LookupFailed, NoSuchName, NoData):
            for error in found:
                if isinstance(error, kind):
                    raise error
        raise next(error for error in found if isinstance(error, BaseException))

    async def txt(self, name: str) -> Answer[bytes]:
        """Each record's strings joined (RFC 7208 §3.3)."""
        return await self._records(name, "TXT", lambda rd: b"".join(rd.strings))

    async def tlsa(self, name: str) -> Answer[Tlsa]:
        """`name` with its port and protocol: `_25._tcp.mx.example`."""
        return await self._records(name, "TLSA", lambda rd: Tlsa(rd.usage, rd.selector, rd.mtype, rd.cert))

    async def cname(self, name: str) -> Answer[str]:
        return await self._records(name, "CNAME", lambda rd: _name(rd.target))

    async def ptr(self, address: str) -> Answer[str]:
        """Names of an IP address."""
        try:
            reverse = dns.reversename.from_address(str(ipaddress.ip_address(address)))
        except ValueError:
            raise NoSuchName(f"{address} is no IP address") from None
        return await self._records(_name(reverse), "PTR", lambda rd: _name(rd.target))

    async def _records(self, name: str, type: str, read: Callable[[Any], T]) -> Answer[T]:
        found = await self._find(_asked(name), type)
        records = tuple(read(record) for record in found.records[:_MOST_RECORDS])
        return Answer(records, found.authentic, found.ttl, found.canonical)

    async def _find(self, name: str, type: str) -> Found:
        question = name, type
        outcome: Found | DnsError
        known, until = self._known.get(question, (None, 0.0))
        if known is not None and self._clock.elapsed() < until:
            self._known.move_to_end(question)
            outcome = known
        else:
            outcome = await self._shared(question)
        if isinstance(outcome, DnsError):
            raise outcome.with_traceback(None)
        return outcome

    async def _shared(self, question: tuple[str, str]) -> Found | DnsError:
        """Ask, or wait with whoever asks already; one waiter's cancellation is not the others'."""
        task = self._asking.get(question)
        if task is None:
            task = self._asking[question] = asyncio.ensure_future(self._ask(question))
            task.add_done_callback(lambda _: self._asking.pop(question, None))
        return await asyncio.shield(task)

    async def _ask(self, question: tuple[str, str]) -> Found | DnsError:
        outcome: Found | Missing
        try:
            async with self._slots:
                outcome = await self._upstream.ask(*question)
            seconds = min(outcome.ttl, self._settings.cache_longest)
        except Missing as error:
            outcome, seconds = error, self._settings.cache_missing
        except LookupFailed as error:
            return error
        self._known[question] = outcome, self._clock.elapsed() + seconds
        self._known.move_to_end(question)
        while len(self._known) > self._settings.cache_entries:
            self._known.popitem(last=False)
        return outcome


def _asked(name: str) -> str:
    """In lower case and A-labels, as it is asked. A name that cannot be one does not exist."""
    name = name.rstrip(".").lower()
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            raise NoSuchName(f"{name!r} is not a domain name") from None
    if not name or len(name) > 253 or not all(0 < len(label) < 64 for label in name.split(".")):
        raise NoSuchName(f"{name!r} is not a domain name")
    return name


def _name(name: Any) -> str:
    """dnspython's name as text; "" for the root."""
    text: str = name.to_text(omit_final_dot=True)
    return "" if text in (".", "") else text.lower()
