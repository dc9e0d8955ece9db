"""Which of a domain's DNS records resolve: asked of one resolver, a few at a time, remembered for a while.

- No answer, or a server's failure, is Unknown: never a reason to tell somebody that a record is missing.
- A policy that its owner wrote differently (SPF, DMARC) is right if it does what is needed, not if it is ours by the
  letter.
- DNSReady is never part of Ready.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import dns.asyncresolver
import dns.exception
import dns.rdata
import dns.resolver
from dns.rdtypes.txtbase import TXTBase

from mailoperator.conditions import DNS_READY, PENDING, Condition
from mailoperator.dkim import KeyPair
from mailoperator.dnsrecords import Record
from mailpod.clock import Clock

Resolves: TypeAlias = Literal["True", "False", "Unknown"]
RECORDS_MISSING: Final = "RecordsMissing"
NOT_CHECKED: Final = "NotChecked"  # dnsChecks is off
RESOLVER_UNAVAILABLE: Final = "ResolverUnavailable"
RECORDS_RESOLVE: Final = "RecordsResolve"
_Question: TypeAlias = tuple[str, str]  # name, type


@dataclass(frozen=True, slots=True)
class _Answer:
    """Values as text, None where the resolver could not tell; good until `until` (Clock.elapsed)."""

    values: tuple[str, ...] | None
    until: float


class DnsChecker:
    """Asks `resolver` (HOST:PORT, the system's if None). Times in seconds."""

    def __init__(
        self,
        clock: Clock,
        *,
        resolver: str | None = None,
        at_once: int = 16,
        timeout: float = 5.0,
        found_for: float = 900.0,
        missing_for: float = 60.0,
        entries: int = 20_000,
    ) -> None:
        self._clock, self._resolver = clock, _resolver(resolver)
        self._slots = asyncio.Semaphore(at_once)
        self._timeout, self._found_for, self._missing_for, self._entries = timeout, found_for, missing_for, entries
        self._known: OrderedDict[_Question, _Answer] = OrderedDict()
        self._asking: dict[_Question, asyncio.Task[_Answer]] = {}
        self.queries = 0

    async def check(self, records: Sequence[Record]) -> list[Resolves]:
        """Whether each record is in the DNS. Never raises."""
        answers = await asyncio.gather(*(self._answers(record) for record in records))
        return [judge(record, values) for record, values in zip(records, answers, strict=True)]

    def resolves(self, domain: str, pair: KeyPair) -> bool:
        """Whether both records of a DKIM pair were found by the last check. Asks nobody."""
        wanted = [Record("TXT", f"{name}._domainkey.{domain}", text) for name, text in pair.records().items()]
        known = [self._known.get(_question(record)) for record in wanted]
        return all(
            answer and judge(record, answer.values) == "True" for record, answer in zip(wanted, known, strict=True)
        )

    async def _answers(self, record: Record) -> tuple[str, ...] | None:
        question = _question(record)
        known = self._known.get(question)
        if known and known.until > self._clock.elapsed():
            self._known.move_to_end(question)
            return known.values
        task = self._asking.get(question)
        if task is None:
            task = self._asking[question] = asyncio.create_task(self._ask(question))
            task.add_done_callback(lambda _: self._asking.pop(question, None))
        return (await asyncio.shield(task)).values

    async def _ask(self, question: _Question) -> _Answer:
        async with self._slots:
            self.queries += 1
            values, seconds = await self._resolve(*question)
        answer = self._known[question] = _Answer(values, self._clock.elapsed() + seconds)
        self._known.move_to_end(question)
        while len(self._known) > self._entries:
            self._known.popitem(last=False)
        return answer

    async def _resolve(self, name: str, type: str) -> tuple[tuple[str, ...] | None, float]:
        """Values, and for how many seconds they may be remembered."""
        try:
            found = await self._resolver.resolve(f"{name}.", type, lifetime=self._timeout, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return (), self._missing_for
        except (dns.exception.DNSException, OSError):
            return None, self._missing_for
        if found.rrset is None:
            return (), self._missing_for
        return tuple(_text(rdata) for rdata in found.rrset), self._found_for


def judge(record: Record, values: Sequence[str] | None) -> Resolves:
    """Whether what was found at the record's name and type does what the record is for."""
    if values is None:
        return "Unknown"
    if record.type == "CNAME":
        return _said(any(values) if not _is_dkim(record) else any(_is_key(value) for value in values))
    if record.type != "TXT":
        return _said(_plain(record.value) in map(_plain, values))
    if record.value.startswith("v=spf1"):
        return _judge_spf(record.value, values)
    if record.value.startswith("v=DMARC1"):
        # RFC 7489 §6.6.3: more than one is none
        return _said(sum(value.replace(" ", "").startswith("v=DMARC1;p=") for value in values) == 1)
    if record.value.startswith("v=TLSRPTv1"):
        # RFC 8460 §3: more than one is none
        return _said(sum(value.replace(" ", "").startswith("v=TLSRPTv1;rua=") for value in values) == 1)
    return _said(_tags(record.value) in map(_tags, values))


def _judge_spf(wanted: str, values: Sequence[str]) -> Resolves:
    """RFC 7208 §4.5: more than one is an error."""
    policies = [value.lower().split() for value in values if value.lower().split()[:1] == ["v=spf1"]]
    if len(policies) != 1:
        return "False"
    if all(term in policies[0] or f"+{term}" in policies[0] for term in wanted.lower().split()[1:-1]):
        return "True"
    # what others include may well have our addresses: not for us to work out
    return "Unknown" if any(term.startswith(("include:", "redirect=")) for term in policies[0]) else "False"


def condition(records: Sequence[Record], resolves: Sequence[Resolves]) -> Condition:
    """DNSReady."""
    pairs = list(zip(records, resolves, strict=True))
    if not pairs:
        return Condition(DNS_READY, "Unknown", PENDING, "no records yet")
    if missing := [record for record, found in pairs if found == "False"]:
        shown = ", ".join(f"{record.type} {record.name}" for record in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        return Condition(DNS_READY, "False", RECORDS_MISSING, f"not in the DNS as in status.dnsRecords: {shown}{more}")
    if unsure := sum(found == "Unknown" for found in resolves):
        return Condition(DNS_READY, "Unknown", RESOLVER_UNAVAILABLE, f"no certain answer for {unsure} of {len(pairs)}")
    return Condition(DNS_READY, "True", RECORDS_RESOLVE, f"all {len(pairs)} records are there")


def not_checked() -> Condition:
    return Condition(DNS_READY, "Unknown", NOT_CHECKED, "DNS checks are switched off (dnsChecks)")


def _question(record: Record) -> _Question:
    """An alias is asked for what it leads to: other ways to get it there are as good (ALIAS, a copy)."""
    if record.type == "CNAME":
        return record.name, "TXT" if _is_dkim(record) else "A"
    return record.name, record.type


def _is_dkim(record: Record) -> bool:
    return "._domainkey." in record.name


def _is_key(value: str) -> bool:
    return value.replace(" ", "").startswith("v=DKIM1;")


def _said(right: bool) -> Resolves:
    return "True" if right else "False"


def _plain(value: str) -> str:
    return value.lower().rstrip(".")


def _tags(value: str) -> frozenset[str]:
    """Of a DKIM record, in any order; RFC 6376 §3.2 ignores white space."""
    return frozenset(filter(None, ("".join(tag.split()) for tag in value.split(";"))))


def _text(rdata: dns.rdata.Rdata) -> str:
    """A TXT's strings as one, all else as `dig` writes it."""
    if isinstance(rdata, TXTBase):
        return b"".join(rdata.strings).decode("ascii", "replace")
    return rdata.to_text()


def _resolver(address: str | None) -> dns.asyncresolver.Resolver:
    if address is None:
        try:
            resolver = dns.asyncresolver.Resolver()
        except dns.resolver.NoResolverConfiguration:
            resolver = dns.asyncresolver.Resolver(configure=False)
    else:
        host, _, port = address.rpartition(":")
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [host.strip("[]")], int(port)
    resolver.search = []
    return resolver
