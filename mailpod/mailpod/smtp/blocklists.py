"""DNS blocklists (RFC 5782): whether a client's address is on one of those that are asked.

A list that does not answer in time, or says that it was asked wrongly, lists nobody: no mail is refused by a failure.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from typing import Final

from mailpod.dns.answers import DnsError
from mailpod.dns.resolver import Resolver

_LISTED: Final = ipaddress.ip_network("127.0.0.0/8")  # RFC 5782 §2.1
# What the large lists answer to whom they do not serve: a public resolver, too many questions, a misspelt name
_ERRORS: Final = ipaddress.ip_network("127.255.255.0/24")


async def listed_by(resolver: Resolver, host: str, lists: Sequence[str], seconds: float) -> str | None:
    """The first of `lists` that the address is on. All are asked at once, for at most `seconds` together."""
    name = reversed_name(host)
    if not lists or name is None:
        return None
    asked = [asyncio.ensure_future(_is_on(resolver, f"{name}.{zone}")) for zone in lists]
    await asyncio.wait(asked, timeout=seconds)
    try:
        return next((zone for zone, task in zip(lists, asked, strict=True) if task.done() and task.result()), None)
    finally:
        for task in asked:
            task.cancel()


def reversed_name(host: str) -> str | None:
    """RFC 5782 §2.1 and §2.4: octets or nibbles, the last one first. None for what is no address."""
    try:
        pointer = ipaddress.ip_address(host).reverse_pointer
    except ValueError:
        return None
    return pointer.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


async def _is_on(resolver: Resolver, name: str) -> bool:
    try:
        answers = (await resolver.a(name)).records
    except DnsError:
        return False
    found = [ipaddress.ip_address(answer) for answer in answers]
    return any(address in _LISTED and address not in _ERRORS for address in found)
