"""Which port is what in local mode: the standard one plus the offset, so that no root is needed.

With several pods the mail ports are shared by all of them; each pod also has a set of its own, a thousand higher a pod.
No two of these numbers meet for up to MAX_PODS pods.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import Final, Literal

from mailpod.config import ListenerSettings

MAX_PODS: Final = 16
HTTP: Final = 8080
HINTS: Final = 99


@dataclass(frozen=True, slots=True)
class Service:
    """A port for clients: its name for people, and what the pod is told."""

    title: str
    port: int  # the standard one
    protocol: Literal["smtp", "lmtp", "imap", "pop3", "https"]
    tls: Literal["starttls", "implicit"]
    role: Literal["mx", "submission"] | None = None

    @property
    def tls_title(self) -> str:
        return "TLS" if self.tls == "implicit" else "STARTTLS"


SERVICES: Final = (
    Service("SMTP", 25, "smtp", "starttls", "mx"),
    Service("submission", 587, "smtp", "starttls", "submission"),
    Service("submission", 465, "smtp", "implicit", "submission"),
    Service("LMTP", 24, "lmtp", "starttls"),
    Service("IMAP", 143, "imap", "starttls"),
    Service("IMAP", 993, "imap", "implicit"),
    Service("POP3", 110, "pop3", "starttls"),
    Service("POP3", 995, "pop3", "implicit"),
    Service("HTTPS", 443, "https", "implicit"),
)


class PortError(Exception):
    """A port cannot be had; the text names it and what to do."""


@dataclass(frozen=True, slots=True)
class Ports:
    """All ports of one run."""

    host: str
    offset: int = 10_000
    pods: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.pods <= MAX_PODS:
            raise PortError(f"--pods is from 1 to {MAX_PODS}")
        if self.offset < 0 or max(self.all()) > 65_535:
            raise PortError(f"--port-offset is from 0 to {65_535 - (max(self.all()) - self.offset)} here")

    def shared(self, service: Service) -> int:
        return self.offset + service.port

    def own(self, pod: int, service: Service) -> int | None:
        """The pod's own port of a service; the only pod has none, the shared ones are its."""
        return self.offset + 1000 * (pod + 1) + service.port if self.pods > 1 else None

    def http(self, pod: int) -> int:
        return self.offset + HTTP + pod

    def hints(self, pod: int) -> int:
        """UDP."""
        return self.offset + 1000 * (pod + 1) + HINTS

    def listeners(self, pod: int) -> list[ListenerSettings]:
        """What pod number `pod` listens on."""
        found = [ListenerSettings(protocol="http", host=self.host, port=self.http(pod), tls="none")]
        for service in SERVICES:
            found.append(self._listener(service, self.shared(service), reuse_port=self.pods > 1))
            if own := self.own(pod, service):
                found.append(self._listener(service, own, reuse_port=False))
        return found

    def all(self) -> list[int]:
        pods = range(self.pods)
        own = (self.own(pod, service) for pod in pods for service in SERVICES)
        return [*map(self.shared, SERVICES), *map(self.http, pods), *(port for port in own if port)]

    def check_free(self) -> None:
        """Raises PortError where another program has one of the ports."""
        for port in self.all():
            try:
                _try(self.host, port)
            except OSError as error:
                raise PortError(_advice(self.host, port, error)) from None

    def _listener(self, service: Service, port: int, *, reuse_port: bool) -> ListenerSettings:
        return ListenerSettings(
            protocol=service.protocol,
            role=service.role,
            host=self.host,
            port=port,
            tls=service.tls,
            reuse_port=reuse_port,
        )


def _try(host: str, port: int) -> None:
    """Bind it for a moment, without SO_REUSEPORT: a stranger's pods could share a port with ours unnoticed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        probe.listen(1)


def _advice(host: str, port: int, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {port} on {host} is in use by another program; --port-offset moves all ports (try 20000)"
        case errno.EACCES:
            return f"port {port} needs root; --port-offset moves all ports (10000 is the default)"
        case _:
            return f"cannot listen on {host} port {port}: {error.strerror or error}"


def reachable(host: str) -> str:
    """The address to connect to where a server listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
