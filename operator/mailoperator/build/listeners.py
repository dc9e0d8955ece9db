"""The ports of a mail pod and of its Services: inside, the standard ones plus 10,000, so that no root is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from mailpod.config import ListenerSettings

OFFSET: Final = 10_000
HTTP: Final = 18_080
HINTS: Final = 10_099
"""UDP, between the pods of a server."""
_ANY: Final = ""  # IPv4's and IPv6's; 0.0.0.0 would be IPv4's alone


@dataclass(frozen=True, slots=True)
class Port:
    """A mail port; `name` is IANA's, and what Services, pods and NetworkPolicies call it."""

    name: str
    standard: int
    protocol: Literal["smtp", "imap", "pop3"]
    tls: Literal["starttls", "implicit"]
    role: Literal["mx", "submission"] | None = None

    @property
    def inside(self) -> int:
        return self.standard + OFFSET


PORTS: Final = (
    Port("smtp", 25, "smtp", "starttls", "mx"),
    Port("submissions", 465, "smtp", "implicit", "submission"),
    Port("submission", 587, "smtp", "starttls", "submission"),
    Port("imap", 143, "imap", "starttls"),
    Port("imaps", 993, "imap", "implicit"),
    Port("pop3", 110, "pop3", "starttls"),
    Port("pop3s", 995, "pop3", "implicit"),
)


def listeners() -> list[ListenerSettings]:
    """What every pod listens on: all addresses, of whichever families the cluster has."""
    mail = [
        ListenerSettings(protocol=port.protocol, role=port.role, host=_ANY, port=port.inside, tls=port.tls)
        for port in PORTS
    ]
    return [ListenerSettings(protocol="http", host=_ANY, port=HTTP, tls="none"), *mail]
