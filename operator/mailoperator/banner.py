"""What local mode tells a person once mail is served: where, for whom, and what to type first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailoperator.ports import SERVICES, Ports, reachable

_MOST_USERS: Final = 20


@dataclass(frozen=True, slots=True)
class User:
    """A mailbox; `password` is None where only a hash of it is known, `kept` says where it can be looked up."""

    address: str
    password: str | None
    kept: str


def banner(
    *,
    domains: Sequence[str],
    users: Sequence[User],
    ports: Ports,
    pids: Mapping[int, int],
    bucket: str,
    certificate: Path,
) -> str:
    """The text. It is for standard output; nothing that goes to a log has a password in it."""
    lines = [f"Mailpod serves {_some(domains)} from {bucket}", ""]
    lines += _ports(ports)
    if ports.pods > 1:
        lines += ["", "  each pod's own ports", *_own_ports(ports, pids)]
    lines += ["", f"  certificate  {certificate} (self-signed)", ""]
    lines += _users(users)
    if users:
        lines += ["", "Try it:", "", *_samples(users[0], ports, certificate)]
    return "\n".join(["", *lines, "", "Ctrl-C stops it; the mail stays.", ""])


def _some(domains: Sequence[str]) -> str:
    shown = ", ".join(domains[:3]) or "no domain yet"
    return f"{shown} and {len(domains) - 3} more domains" if len(domains) > 3 else shown


def _ports(ports: Ports) -> Iterator[str]:
    for service in SERVICES:
        if service.protocol == "https":
            yield f"  {'set-up page':11}  https://{_url_host(ports)}:{ports.shared(service)}/"
            continue
        yield f"  {service.title:11}  {ports.host}:{ports.shared(service):<6} {service.tls_title}"
    for pod in range(ports.pods):
        name = "health" if ports.pods == 1 else f"health {pod}"
        yield f"  {name:11}  http://{_url_host(ports)}:{ports.http(pod)}/readyz and /metrics"


def _own_ports(ports: Ports, pids: Mapping[int, int]) -> Iterator[str]:
    for pod in range(ports.pods):
        own = ", ".join(f"{service.title} {ports.own(pod, service)}" for service in SERVICES)
        yield f"  pod {pod} (pid {pids.get(pod, '?')}): {own}"


def _users(users: Sequence[User]) -> Iterator[str]:
    width = max((len(user.address) for user in users[:_MOST_USERS]), default=0)
    yield f"  {'user':{width}}  password"
    for user in users[:_MOST_USERS]:
        yield f"  {user.address:{width}}  {user.password or user.kept}"
    if len(users) > _MOST_USERS:
        yield f"  … and {len(users) - _MOST_USERS} more"


def _samples(user: User, ports: Ports, certificate: Path) -> Iterator[str]:
    password = user.password or "PASSWORD"
    smtp, imaps = (next(s for s in SERVICES if s.port == port) for port in (25, 993))
    yield (
        "  printf 'Subject: Hello\\n\\nHello.\\n' | curl -sS --crlf -T - --mail-from you@example.org "
        f"--mail-rcpt {user.address} smtp://{_url_host(ports)}:{ports.shared(smtp)}"
    )
    yield (
        f"  curl -sS --cacert {certificate} -u '{user.address}:{password}' "
        f"'imaps://{_url_host(ports)}:{ports.shared(imaps)}/INBOX;MAILINDEX=1'"
    )


def _url_host(ports: Ports) -> str:
    host = reachable(ports.host)
    return f"[{host}]" if ":" in host else host
