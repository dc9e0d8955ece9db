"""The ports of a mail pod and of its Services: inside, the standard ones plus 10,000, so that no root is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from mailpod.config import ListenerSettings

OFFSET: Final = 10_000
PROXY_OFFSET: Final = 20_000
HTTP: Final = 18_080
HINTS: Final = 10_099
"""UDP, between the pods of a server."""
_ANY: Final = ""  # IPv4's and IPv6's; 0.0.0.0 would be IPv4's alone


@dataclass(frozen=True, slots=True)
class Port:
    """A port for the world; `name` is IANA's, and what Services, pods and NetworkPolicies call it."""

    name: str
    standard: int
    protocol: Literal["smtp", "lmtp", "imap", "pop3", "https"]
    tls: Literal["starttls", "implicit"]
    role: Literal["mx", "submission"] | None = None

    @property
    def inside(self) -> int:
        return self.standard + OFFSET

    @property
    def proxied(self) -> int:
        """The one beside it, whose connections begin with a PROXY header (OPERATOR.md rule 37)."""
        return self.standard + PROXY_OFFSET

    @property
    def proxied_name(self) -> str:
        return f"{self.name}-px"  # at most 15 characters


PORTS: Final = (
    Port("smtp", 25, "smtp", "starttls", "mx"),
    Port("submissions", 465, "smtp", "implicit", "submission"),
    Port("submission", 587, "smtp", "starttls", "submission"),
    Port("imap", 143, "imap", "starttls"),
    Port("imaps", 993, "imap", "implicit"),
    Port("pop3", 110, "pop3", "starttls"),
    Port("pop3s", 995, "pop3", "implicit"),
    Port("https", 443, "https", "implicit"),
)

LMTP: Final = Port("lmtp", 24, "lmtp", "starttls")
"""For mail servers that hand over; open only where some are named."""


def listeners(*, proxied: bool, lmtp: bool) -> list[ListenerSettings]:
    """What every pod listens on: all addresses, of whichever families the cluster has."""
    found = [ListenerSettings(protocol="http", host=_ANY, port=HTTP, tls="none")]
    found += [_listener(port, port.inside) for port in PORTS]
    if lmtp:
        found.append(_listener(LMTP, LMTP.inside))
    if proxied:
        found += [_listener(port, port.proxied, proxy=True) for port in PORTS]
    return found


def _listener(port: Port, number: int, *, proxy: bool = False) -> ListenerSettings:
    return ListenerSettings(protocol=port.protocol, role=port.role, host=_ANY, port=number, tls=port.tls, proxy=proxy)


def inside(*, proxied: bool) -> dict[str, int]:
    """The pods' ports by name, those that are for everyone."""
    plain = {port.name: port.inside for port in PORTS}
    return plain | {port.proxied_name: port.proxied for port in PORTS} if proxied else plain
