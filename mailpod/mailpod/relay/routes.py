"""Which servers take a domain's mail, in the order in which they are to be tried (RFC 5321 §5.1)."""

from __future__ import annotations

import contextlib
import ipaddress
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from mailpod.dns.answers import Answer, LookupFailed, NoData, NoSuchName
from mailpod.dns.resolver import Resolver


class NoRoute(Exception):
    """Nowhere to send to: `status` of class 5 is for good."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


@dataclass(frozen=True, slots=True)
class Route:
    """`secure`: the DNS's word for it is authentic."""

    hosts: tuple[str, ...]
    secure: bool


async def find(resolver: Resolver, domain: str, own_name: str, rng: random.Random) -> Route:
    """The hosts for a domain's mail. `own_name` is ours: servers no better than we are would send it back.

    Raises NoRoute.
    """
    try:
        found = await resolver.mx(domain)
    except NoSuchName:
        raise NoRoute("5.1.2", f"the domain {domain} does not exist") from None
    except NoData as error:
        return Route((domain,), error.authentic)  # implicit MX
    except LookupFailed as error:
        raise NoRoute("4.4.3", str(error)) from None
    if [mx.host for mx in found.records] == [""]:  # RFC 7505 §3; beside others it is a mistake, and no host
        raise NoRoute("5.1.10", f"the domain {domain} takes no mail (556, null MX)")
    ours = min((mx.preference for mx in found.records if mx.host == own_name), default=None)
    # shuffled first: the sort is stable, so that equals share the load
    ranked = sorted(rng.sample(found.records, len(found.records)), key=lambda mx: mx.preference)
    hosts = [mx.host for mx in ranked if mx.host and (ours is None or mx.preference < ours)]
    if not hosts:
        raise NoRoute("5.4.6", f"mail for {domain} comes back to this server, which does not serve it")
    return Route(tuple(dict.fromkeys(hosts)), found.authentic)


async def addresses(resolver: Resolver, host: str) -> Answer[str]:
    """A host's addresses; an address is its own. Raises NoRoute."""
    with contextlib.suppress(ValueError):
        return Answer((str(ipaddress.ip_address(host.strip("[]"))),))
    try:
        return await resolver.addresses(host)
    except (NoSuchName, NoData):
        raise NoRoute("5.4.4", f"the server {host} has no address") from None
    except LookupFailed as error:
        raise NoRoute("4.4.3", str(error)) from None


def in_turn(found: Sequence[str], rng: random.Random) -> list[str]:
    """IPv6 and IPv4 by turns, so that a family that does not work here costs one attempt; each in random order."""
    mixed = rng.sample(found, len(found))
    six = [address for address in mixed if ipaddress.ip_address(address).version == 6]
    four = [address for address in mixed if ipaddress.ip_address(address).version == 4]
    return [address for address in chain.from_iterable(zip_longest(six, four)) if address is not None]
