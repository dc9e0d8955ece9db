"""What the pods are told of mail to other domains."""

from __future__ import annotations

from mailoperator.model_outbound import Outbound
from mailpod.config import PodSettings


def with_outbound(settings: PodSettings, outbound: Outbound | None) -> PodSettings:
    """`settings` with what `spec.outbound` says."""
    wanted = outbound or Outbound()
    dane = wanted.dane == "Enabled"
    dns = settings.dns.model_copy(update={"resolver": wanted.resolver, "trusted": dane})
    told = {"mta_sts": wanted.mta_sts == "Enabled", "dane": dane, "report": wanted.tls_reports == "Enabled"}
    policy = settings.tls_policy.model_copy(update=told)
    return settings.model_copy(update={"dns": dns, "tls_policy": policy})


def resolver_port(outbound: Outbound | None) -> int:
    """The port of the DNS server that the pods ask."""
    return int(outbound.resolver.rpartition(":")[2]) if outbound and outbound.resolver else 53
