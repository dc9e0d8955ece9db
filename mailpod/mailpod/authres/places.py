"""Where a domain wants its DMARC reports (RFC 9989 §4.7, rua), and whether that place agrees (RFC 9990 §4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from mailpod.addresses import normalize_domain
from mailpod.authres.dmarc import organisational_domain
from mailpod.authres.tags import sound_tags
from mailpod.dns.answers import DnsError
from mailpod.dns.resolver import Resolver

_MOST_PLACES: Final = 4  # of one domain that are reported to
_MAILBOX: Final = re.compile(r"[^\x00-\x20<>@\x7f]{1,64}@[A-Za-z0-9.-]{1,253}")
_SIZE: Final = re.compile(r"([0-9]{1,15})([kmgt]?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """A mailbox, and the most octets that it takes, where it says so."""

    address: str
    most: int | None = None

    @property
    def host(self) -> str:
        return self.address.rpartition("@")[2].lower()


def places(rua: str) -> tuple[Place, ...]:
    """The mailboxes in a rua tag; other URIs are passed over (RFC 9989 §4.7)."""
    found = (_place(uri.strip(" \t")) for uri in rua.split(","))
    return tuple(dict.fromkeys(place for place in found if place is not None))[:_MOST_PLACES]


def _place(uri: str) -> Place | None:
    uri, _, size = uri.partition("!")  # RFC 7489 §6.2; a "!" of the address itself is encoded
    scheme, _, rest = uri.partition(":")
    address = unquote(rest.partition("?")[0])
    if scheme.lower() != "mailto" or not _MAILBOX.fullmatch(address):
        return None
    match = _SIZE.fullmatch(size)
    if size and match is None:
        return None
    return Place(address, int(match[1]) << 10 * (" kmgt".index(match[2].lower() or " ")) if match else None)


async def wanted(resolver: Resolver, domain: str) -> tuple[Place, ...]:
    """Where reports about a policy's domain go now. Raises DnsError."""
    found: list[Place] = []
    for place in places((await _tags(resolver, f"_dmarc.{domain}")).get("rua", "")):
        agreed = await _agreed(resolver, domain, place)
        found += [one for one in agreed if one not in found]
    return tuple(found)


async def _agreed(resolver: Resolver, domain: str, place: Place) -> tuple[Place, ...]:
    """The place, or what it names instead; () where it is elsewhere and has not agreed, or cannot be asked."""
    try:
        host = normalize_domain(place.host)
        if await organisational_domain(resolver, domain) == await organisational_domain(resolver, host):
            return (place,)
        tags = await _tags(resolver, f"{domain}._report._dmarc.{host}")
    except (DnsError, ValueError):
        return ()
    if not tags:
        return ()
    if "rua" not in tags:
        return (place,)
    instead = places(tags["rua"])
    # RFC 9990 §4, 9: it may name others of its own host, and else there is no report at all
    return instead if all(one.host == place.host for one in instead) else ()


async def _tags(resolver: Resolver, name: str) -> dict[str, str]:
    """The tags of the one DMARC record at a name; none where there is none. Raises DnsError."""
    found = []
    for record in (await resolver.txt(name)).records:
        tags = sound_tags(record.decode("ascii", "replace"))
        if next(iter(tags.items()), None) == ("v", "DMARC1"):
            found.append(tags)
    return found[0] if len(found) == 1 or (found and "._report." in name) else {}
