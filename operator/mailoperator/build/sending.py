"""What the pods are told of mail to other domains."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from mailoperator.model_outbound import Outbound, Smarthost
from mailpod.config import PodSettings

_TLS: Final = {"StartTLS": "starttls", "Implicit": "implicit", "None": "none"}


def with_outbound(settings: PodSettings, outbound: Outbound | None, credentials: Path) -> PodSettings:
    """`settings` with what `spec.outbound` says; `credentials` is the folder with those for the smarthost."""
    wanted = outbound or Outbound()
    dane = wanted.dane == "Enabled"
    dns = settings.dns.model_copy(update={"resolver": wanted.resolver, "trusted": dane})
    told = {"mta_sts": wanted.mta_sts == "Enabled", "dane": dane, "report": wanted.tls_reports == "Enabled"}
    policy = settings.tls_policy.model_copy(update=told)
    checks = settings.authres.model_copy(update={"report": wanted.dmarc_reports == "Enabled"})
    sending = settings.outbound.model_dump()
    sending |= {"retry_first": wanted.first_retry_minutes * 60, "retry_longest": wanted.longest_retry_minutes * 60}
    sending |= {"expiry": wanted.expire_after_hours * 3600, "delay_notice": wanted.delay_notice_after_hours * 3600}
    if wanted.smarthost is not None:
        sending["smarthost"] = _smarthost(wanted.smarthost, credentials)
    relay = type(settings.outbound).model_validate(sending)
    return settings.model_copy(update={"dns": dns, "tls_policy": policy, "authres": checks, "outbound": relay})


def _smarthost(written: Smarthost, credentials: Path) -> dict[str, Any]:
    found = {"host": written.host, "port": written.port, "tls": _TLS[written.tls], "verify": written.tls != "None"}
    return found | ({"credentials": credentials} if written.credentials_secret_ref else {})


def smarthost_secret(outbound: Outbound | None) -> str | None:
    """The name of the Secret with credentials for the smarthost."""
    ref = outbound.smarthost.credentials_secret_ref if outbound and outbound.smarthost else None
    return ref.name if ref else None


def outward_ports(outbound: Outbound | None) -> set[int]:
    """TCP ports that the pods connect to: other domains' servers, their MTA-STS policies, the smarthost, the DNS."""
    smarthost = outbound.smarthost if outbound else None
    return {25, 443, resolver_port(outbound), *([smarthost.port] if smarthost else [])}


def resolver_port(outbound: Outbound | None) -> int:
    """The port of the DNS server that the pods ask."""
    return int(outbound.resolver.rpartition(":")[2]) if outbound and outbound.resolver else 53
