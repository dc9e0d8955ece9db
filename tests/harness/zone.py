"""A DNS in memory for tests: records as zone files write them, and names whose look-up fails."""

from __future__ import annotations

import dns.rdata
import dns.rdataclass
import dns.rdatatype

from mailpod.clock import Clock, SystemClock
from mailpod.dns.answers import LookupFailed, NoData, NoSuchName
from mailpod.dns.resolver import Resolver
from mailpod.dns.settings import DnsSettings
from mailpod.dns.upstream import Found


class Zone:
    """The upstream of a Resolver: `Zone("example.org. MX 10 mx.example.org.")`. May change while it is asked."""

    def __init__(self, *lines: str, ttl: float = 300, authentic: bool = False) -> None:
        self.records: dict[tuple[str, str], list[dns.rdata.Rdata]] = {}
        self.failing: set[str] = set()  # names, each for all types
        self.asked: list[tuple[str, str]] = []
        self.ttl, self.authentic = ttl, authentic
        for line in lines:
            self.add(line)

    def add(self, line: str) -> None:
        """`name TYPE data`; names are absolute, with or without their final dot."""
        name, type, data = line.split(None, 2)
        rdata = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(type), data)
        self.records.setdefault((name.rstrip(".").lower(), type), []).append(rdata)

    def remove(self, name: str) -> None:
        """All records at a name."""
        self.records = {key: value for key, value in self.records.items() if key[0] != name.rstrip(".").lower()}

    async def ask(self, name: str, type: str) -> Found:
        self.asked.append((name, type))
        for _ in range(8):
            if name in self.failing:
                raise LookupFailed(f"{type} of {name}: the resolver cannot answer")
            if found := self.records.get((name, type)):
                return Found(tuple(found), name, self.ttl, self.authentic)
            alias = self.records.get((name, "CNAME"))
            if not alias:
                break
            name = str(alias[0].to_text()).rstrip(".").lower()
        if any(known == name or known.endswith("." + name) for known, _ in self.records):
            raise NoData(f"{name} has no {type} record", authentic=self.authentic)
        raise NoSuchName(f"{name} does not exist", authentic=self.authentic)

    def resolver(self, clock: Clock | None = None, settings: DnsSettings | None = None) -> Resolver:
        """A Resolver that asks this."""
        return Resolver(settings or DnsSettings(), clock or SystemClock(), self)
