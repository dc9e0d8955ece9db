"""Which storage endpoints a tenant may name (OPERATOR.md rule 32): the operator and its credentials go there.

- https, without credentials, path or query; http only to hosts that the installation allows.
- Never link-local or a cloud's metadata service, by whatever spelling or name, allowed or not.
- Not this machine, and nothing inside the cluster, unless the host is allowed: neither by a name of the cluster's, nor
  by an address that the cluster's DNS has such a name for (every ClusterIP, and the pods behind headless Services).
What a name resolves to is looked at each time before it is used; a name that changes between is caught the next time.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final, TypeAlias
from urllib.parse import urlsplit

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver: TypeAlias = Callable[[str], Awaitable[Collection[str]]]
Namer: TypeAlias = Callable[[str], Awaitable[str]]

REFUSED: Final = "EndpointRefused"
UNRESOLVED: Final = "EndpointUnresolved"
_INSIDE: Final = (".svc", ".cluster.local", ".localhost")
_METADATA: Final = frozenset(
    map(ipaddress.ip_address, ("fd00:ec2::254", "168.63.129.16", "100.100.100.200", "192.0.0.192"))
)
_NAMING_SECONDS: Final = 3.0
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")


class EndpointRefused(Exception):
    """`reason` is a condition's."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


async def resolve(host: str) -> Collection[str]:
    """Addresses of a host by this machine's resolver. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return {str(item[4][0]).partition("%")[0] for item in found}


async def name_of(address: str) -> str:
    """The name of an address by this machine's resolver, which in a pod is the cluster's; "" where it has none."""
    asked = asyncio.get_running_loop().getnameinfo((address, 0), socket.NI_NAMEREQD)
    try:
        return (await asyncio.wait_for(asked, _NAMING_SECONDS))[0]
    except (OSError, TimeoutError):  # the cluster's own zone is answered at once
        return ""


async def check_endpoint(
    url: str | None,
    allowed: Collection[str] = (),
    *,
    resolver: Resolver = resolve,
    namer: Namer = name_of,
    environment: Mapping[str, str] = os.environ,
) -> None:
    """Raises EndpointRefused. None, AWS's own endpoints, is always good. `allowed` are host names."""
    if url is None:
        return
    host, trusted = _host(url, allowed)
    try:
        addresses = [ipaddress.ip_address(found) for found in await resolver(host)]
    except (OSError, UnicodeError):
        addresses = []
    if not addresses:
        raise EndpointRefused(UNRESOLVED, f"the endpoint's host {host} does not resolve")
    own = environment.get("KUBERNETES_SERVICE_HOST", "")
    for address in map(_plain, addresses):
        if address.is_link_local or address in _METADATA or address.is_unspecified or address.is_multicast:
            raise EndpointRefused(REFUSED, f"the endpoint's host {host} is link-local, or no host at all")
        if not trusted and (address.is_loopback or str(address) == own):
            raise EndpointRefused(REFUSED, f"the endpoint's host {host} is inside, and not in allowHttpHosts")
        if own and not trusted and address.is_private and _is_inside(await namer(str(address))):
            raise EndpointRefused(REFUSED, f"the endpoint's host {host} is inside the cluster, by its address")


def _host(url: str, allowed: Collection[str]) -> tuple[str, bool]:
    """The host, and whether the installation allows it whatever it is. Raises EndpointRefused."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise EndpointRefused(REFUSED, "the endpoint is not a URL") from None
    host = (parts.hostname or "").rstrip(".")
    if not host or parts.username or parts.password or parts.query or parts.fragment or parts.path not in ("", "/"):
        raise EndpointRefused(REFUSED, "an endpoint is https://HOST or https://HOST:PORT and nothing more")
    trusted = host in {name.lower().rstrip(".") for name in allowed}
    if parts.scheme != "https" and not (parts.scheme == "http" and trusted):
        raise EndpointRefused(REFUSED, f"the endpoint is not https, and {host} is not in allowHttpHosts")
    if not trusted and _is_inside(host):
        raise EndpointRefused(REFUSED, f"the endpoint's host {host} is inside the cluster, and not in allowHttpHosts")
    return host, trusted


def _is_inside(host: str) -> bool:
    """Whether a name is one of the cluster's own. `a.b.svc` and, by the search list, `a` and `a.b.svc.x` are."""
    host = host.rstrip(".").lower()
    if not host or ":" in host or host.replace(".", "").isdigit():
        return False  # an address: judged as one
    return "." not in host or host.endswith(_INSIDE) or ".svc." in host


def _plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 one wraps."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address.sixtofour:
            return address.sixtofour
    return address
