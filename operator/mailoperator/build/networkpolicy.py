"""The NetworkPolicy of mail pods: mail from everywhere, hints from each other, and out only to what they need."""

from __future__ import annotations

from ipaddress import ip_network
from urllib.parse import urlsplit

from mailoperator.build import listeners, names
from mailoperator.build.inputs import BuildInputs, Object
from mailoperator.build.sending import outward_ports, resolver_port
from mailoperator.build.server import behind_proxy, server_of
from mailoperator.model import MailDomain


def build_network_policy(domain: MailDomain, inputs: BuildInputs) -> Object | None:
    """None where it is not switched on."""
    if server_of(domain).network_policy != "Enabled":
        return None
    pods = {"matchLabels": names.selector(domain)}
    hints = [_port(listeners.HINTS, "UDP")]
    dns = resolver_port(domain.spec.outbound)
    rspamd = server_of(domain).rspamd
    filters = [url for url in (rspamd.url, rspamd.controller_url) if url] if rspamd else []
    asked = {bucket_port(url) for url in (inputs.bucket.endpoint, *filters)}
    tcp = sorted(outward_ports(domain.spec.outbound) | asked)
    mail = [_port(port) for port in listeners.inside(proxied=behind_proxy(domain)).values()]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": names.metadata(domain, names.base(domain)),
        "spec": {
            "podSelector": pods,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"ports": mail},
                *_lmtp(domain),
                {"from": [{"podSelector": pods}], "ports": hints},
                {"from": [{"namespaceSelector": {}}], "ports": [_port(listeners.HTTP)]},  # Prometheus
            ],
            "egress": [
                {"to": [{"podSelector": pods}], "ports": hints},
                {"ports": [_port(dns, "UDP"), *map(_port, tcp)]},
            ],
        },
    }


def _lmtp(domain: MailDomain) -> list[Object]:
    """Mail servers that hand over, where there are some."""
    networks = [ip_network(written, strict=False) for written in server_of(domain).service.lmtp_networks]
    blocks = [{"ipBlock": {"cidr": str(network)}} for network in networks]
    return [{"from": blocks, "ports": [_port(listeners.LMTP.inside)]}] if blocks else []


def bucket_port(endpoint: str | None) -> int:
    """The TCP port of a URL: the S3 server's, rspamd's. NetworkPolicies know no names, so its address stays open."""
    parts = urlsplit(endpoint or "https://")
    return parts.port or (80 if parts.scheme == "http" else 443)


def _port(number: int, protocol: str = "TCP") -> Object:
    return {"port": number, "protocol": protocol}
