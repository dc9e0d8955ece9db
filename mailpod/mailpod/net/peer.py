"""Who is at the other end of a connection."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import NamedTuple


class Peer(NamedTuple):
    """The client's address. `local`: it is the same address as ours, so AUTH without TLS is allowed."""

    host: str
    port: int
    local: bool


def peer_of(transport: asyncio.BaseTransport) -> Peer:
    """The peer of an open transport; a connection that is already gone has the empty host."""
    peer = transport.get_extra_info("peername")
    ours = transport.get_extra_info("sockname")
    if not isinstance(peer, tuple) or not isinstance(ours, tuple):
        return Peer("", 0, False)
    host = plain_address(peer[0])
    return Peer(host, int(peer[1]), host == plain_address(ours[0]))


def plain_address(host: str) -> str:
    """IPv4 in IPv6 (`::ffff:192.0.2.1`) as IPv4, without a zone."""
    host = host.partition("%")[0]
    return host[7:] if host.startswith("::ffff:") and "." in host else host


def network_of(host: str) -> str:
    """What limits count by: an IPv4 address, or an IPv6 /64, since a client has all of one."""
    if ":" not in host:
        return host
    return str(ipaddress.IPv6Network((host, 64), strict=False))
