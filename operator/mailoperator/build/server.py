"""The `server` of a MailDomain, also where none is written: then it is the installation's defaults."""

from __future__ import annotations

from typing import Any, Final

from mailoperator.build.budgets import DEFAULT_RESOURCES
from mailoperator.model import MailDomain, Server

DEFAULT_REPLICAS: Final = 2
_DEFAULT: Final = Server()


def server_of(domain: MailDomain) -> Server:
    """Raises ValueError for a domain that another serves: it has no pods of its own."""
    if domain.spec.served_by_ref is not None:
        raise ValueError(f"{domain.title} is served by {domain.spec.served_by_ref.name}")
    return domain.spec.server or _DEFAULT


def behind_proxy(domain: MailDomain) -> bool:
    """Whether a load balancer says who the clients are, by the PROXY protocol."""
    return bool(server_of(domain).service.proxy_networks)


def client_address_kept(domain: MailDomain) -> bool:
    """Whether pods see whose a connection is; without that nothing can be said of senders (OPERATOR.md rule 37)."""
    return server_of(domain).service.external_traffic_policy != "Cluster" or behind_proxy(domain)


def takes_lmtp(domain: MailDomain) -> bool:
    """Whether other mail servers hand over by LMTP."""
    return bool(server_of(domain).service.lmtp_networks)


def fixed_replicas(domain: MailDomain) -> int | None:
    """How many pods; None where an autoscaler says."""
    server = server_of(domain)
    if server.autoscaling is not None:
        return None
    return server.replicas or DEFAULT_REPLICAS


def fewest_replicas(domain: MailDomain) -> int:
    """How many pods there are at least."""
    autoscaling = server_of(domain).autoscaling
    return autoscaling.min_replicas if autoscaling is not None else fixed_replicas(domain) or 0


def resources_of(domain: MailDomain) -> dict[str, Any]:
    """Of the pods' container."""
    written = server_of(domain).pod_template.resources
    chosen = (written.wire() if written is not None else {}) or DEFAULT_RESOURCES
    requests = chosen.get("requests", {})
    if "cpu" in {**requests, **chosen.get("limits", {})}:
        return chosen
    return {**chosen, "requests": {"cpu": DEFAULT_RESOURCES["requests"]["cpu"], **requests}}  # autoscaling goes by it
