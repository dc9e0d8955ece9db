"""The DNS records that a domain needs, as data for its status. Pure.

Values are as `dig +short` shows them, a TXT as one text without quotes; a zone file cuts texts into strings of 255.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from mailoperator.dkim import KeyPair

RecordType: TypeAlias = Literal["MX", "TXT", "SRV", "A", "AAAA", "CNAME"]
MOST_RECORDS: Final = 20
MOST_BYTES: Final = 20_000  # of the 32 KiB that a status may have
_PROTOCOL_PORTS: Final = {
    # RFC 8314 §5.1 and RFC 6186 §3; TLS from the first byte is preferred (RFC 8314 §3)
    "Submission": (("_submissions", 465, 0), ("_submission", 587, 10)),
    "IMAP": (("_imaps", 993, 0),),
    "POP3": (("_pop3s", 995, 10),),  # RFC 6186 §3.4: IMAP before POP3, by the priority
}


@dataclass(frozen=True, slots=True)
class Record:
    """One record; `name` and targets are absolute, without the last dot in `name`."""

    type: RecordType
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class DnsInputs:
    """Of a MailDomain: what its records say."""

    domain: str
    hostname: str
    aliases: Sequence[str] = ()
    addresses: Sequence[str] = ()
    """Where clients reach the Service: IP addresses, or a load balancer's name."""
    outbound: Sequence[str] = ()
    """IP addresses or networks that mail is sent from, beyond those of the MX."""
    dkim: Sequence[KeyPair] = ()
    protocols: Sequence[str] = ("Submission", "IMAP", "POP3")
    mta_sts: str = ""
    """The mode of the MTA-STS policy; empty: none is published."""


def records(inputs: DnsInputs) -> list[Record]:
    """Those of the domain itself first, then those of its aliases."""
    own = [*_hostname(inputs), *_incoming(inputs.domain, inputs), *_dkim(inputs), *_clients(inputs)]
    return own + [record for alias in inputs.aliases for record in _of_alias(alias, inputs)]


def bounded(found: Sequence[Record]) -> list[Record]:
    """As many, from the first, as a status has room for."""
    kept: list[Record] = []
    room = MOST_BYTES
    for record in found[:MOST_RECORDS]:
        room -= len(record.name) + len(record.value) + 60  # the field names around them
        if room < 0:
            break
        kept.append(record)
    return kept


def _hostname(inputs: DnsInputs) -> Iterator[Record]:
    """Nothing while the Service has no address."""
    for address in inputs.addresses:
        try:
            version = ipaddress.ip_address(address).version
        except ValueError:
            yield Record("CNAME", inputs.hostname, f"{address}.")
            continue
        yield Record("A" if version == 4 else "AAAA", inputs.hostname, address)


def _incoming(domain: str, inputs: DnsInputs) -> Iterator[Record]:
    yield Record("MX", domain, f"10 {inputs.hostname}.")
    yield Record("TXT", domain, _spf(inputs))
    # RFC 7489 §6.3; the owner tightens `p` when the reports say that nothing good would be lost
    yield Record("TXT", f"_dmarc.{domain}", f"v=DMARC1; p=none; rua=mailto:postmaster@{domain}")
    if inputs.mta_sts:
        yield from _mta_sts(domain, inputs)


def _mta_sts(domain: str, inputs: DnsInputs) -> Iterator[Record]:
    """RFC 8461 §3: where the policy is, and an id that changes with it; RFC 8460 §3: where reports go."""
    id = hashlib.sha256(f"{inputs.mta_sts} {inputs.hostname}".encode()).hexdigest()[:16]
    yield Record("CNAME", f"mta-sts.{domain}", f"{inputs.hostname}.")
    yield Record("TXT", f"_mta-sts.{domain}", f"v=STSv1; id={id}")
    yield Record("TXT", f"_smtp._tls.{domain}", f"v=TLSRPTv1; rua=mailto:postmaster@{domain}")


def _spf(inputs: DnsInputs) -> str:
    """RFC 7208. `~all` and not `-all`: forwarded mail is judged by its DKIM signature."""
    networks = [ipaddress.ip_network(address, strict=False) for address in inputs.outbound]
    sources = [f"ip{network.version}:{_short(network)}" for network in networks]
    return " ".join(["v=spf1", "mx", *sources, "~all"])


def _short(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _dkim(inputs: DnsInputs) -> Iterator[Record]:
    """Every pair that is stored: the next one before it is used, the last one while its mail is on the way."""
    for pair in inputs.dkim:
        for selector, text in pair.records().items():
            yield Record("TXT", f"{selector}._domainkey.{inputs.domain}", text)


def _clients(inputs: DnsInputs) -> Iterator[Record]:
    for protocol in inputs.protocols:
        for service, port, priority in _PROTOCOL_PORTS.get(protocol, ()):
            yield Record("SRV", f"{service}._tcp.{inputs.domain}", f"{priority} 1 {port} {inputs.hostname}.")


def _of_alias(alias: str, inputs: DnsInputs) -> Iterator[Record]:
    """Its DKIM keys are the domain's, so that a rotation changes nothing here."""
    yield from _incoming(alias, inputs)
    for pair in inputs.dkim:
        for selector in pair.selectors:
            yield Record("CNAME", f"{selector}._domainkey.{alias}", f"{selector}._domainkey.{inputs.domain}.")
