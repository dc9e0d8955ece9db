"""Which domain a request is for, by its Host, and what a mail client of it is to be told.

- A name that no domain here is served by is nobody's: 404. Another's Host header gets nothing of a domain.
- Whether an address exists is never told: settings are the same for all of a domain.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from mailpod.addresses import normalize

if TYPE_CHECKING:
    from mailpod.config import WebSettings
    from mailpod.directory import Directory, DomainEntry

Security: TypeAlias = Literal["TLS", "STARTTLS"]
_PREFIXES: Final = ("autoconfig", "autodiscover", "mta-sts")  # Thunderbird's, Outlook's, RFC 8461 §3.3


@dataclass(frozen=True, slots=True)
class Server:
    """One way to connect."""

    protocol: Literal["IMAP", "POP3", "SMTP"]
    host: str
    port: int
    security: Security


@dataclass(frozen=True, slots=True)
class Site:
    """What is told of `domain`. `host` is what clients connect to; `by` how the request named us."""

    domain: str
    host: str
    by: str
    hostname: str
    """The server's name in the DNS, also where `host` is an address."""
    offset: int = 0
    mta_sts: str = ""
    """The mode of the domain's MTA-STS policy; empty: it has none."""

    def servers(self) -> list[Server]:
        """The best first (RFC 8314 §3: TLS from the first byte)."""
        standard: tuple[tuple[Literal["IMAP", "POP3", "SMTP"], int, Security], ...] = (
            ("IMAP", 993, "TLS"),
            ("IMAP", 143, "STARTTLS"),
            ("POP3", 995, "TLS"),
            ("POP3", 110, "STARTTLS"),
            ("SMTP", 465, "TLS"),
            ("SMTP", 587, "STARTTLS"),
        )
        return [Server(protocol, self.host, port + self.offset, security) for protocol, port, security in standard]

    def address(self, written: str) -> str:
        """An address of this domain in its normal form; empty where it is none."""
        try:
            found = normalize(written)
        except ValueError:
            return ""
        return str(found) if found.domain == self.domain else ""


async def site_of(
    host: str, directory: Directory, settings: WebSettings, *, own: str, address: str = ""
) -> Site | None:
    """The site that `host` names; with an `address`, that of its domain if `host` is one of its names.

    `own` is the pod's hostname. Raises Unavailable.
    """
    name = own if settings.by_address and _is_address(host) else host
    for candidate in _candidates(name, address):
        entry = await directory.domain(candidate)
        if entry is not None and name in names_of(entry):
            told = host if name != host else entry.hostname
            return Site(entry.name, told, host, entry.hostname, settings.port_offset, entry.mta_sts)
    return None


def names_of(entry: DomainEntry) -> set[str]:
    """The hosts at which a domain's settings are told."""
    return {entry.name, entry.hostname, *(f"{prefix}.{entry.name}" for prefix in _PREFIXES)}


def _candidates(host: str, address: str) -> Iterator[str]:
    """Domains that may be meant: the address' own, then the host and what is above it."""
    if "@" in address:
        yield address.rpartition("@")[2]
    name = host
    while "." in name:
        yield name
        name = name.partition(".")[2]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True
