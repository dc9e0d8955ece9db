"""The Services that mail clients and other mail servers connect to, on the standard ports."""

from __future__ import annotations

from typing import Final

from mailoperator.build import listeners, names
from mailoperator.build.inputs import Object
from mailoperator.build.server import behind_proxy, server_of, takes_lmtp
from mailoperator.model import MailDomain

_OURS: Final = ("type", "annotations", "proxyNetworks", "lmtpNetworks")
_FAMILIES: Final = ("ipFamilies", "ipFamilyPolicy")
_OUTSIDE: Final = ("LoadBalancer", "NodePort")
_LOAD_BALANCER_ONLY: Final = ("loadBalancerClass", "loadBalancerSourceRanges")


def build_service(domain: MailDomain) -> Object:
    written = server_of(domain).service.wire()
    kind = written.get("type") or "ClusterIP"
    metadata = names.metadata(domain, names.base(domain))
    if written.get("annotations"):
        metadata["annotations"] = dict(written["annotations"])
    chosen = {name: value for name, value in written.items() if name not in _OURS and value}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": kind,
            "selector": names.selector(domain),
            "ports": _ports(proxied=behind_proxy(domain)),
            **_fitting(kind, chosen),
        },
    }


def build_plain_service(domain: MailDomain) -> Object | None:
    """For clients in the cluster, with no load balancer before them; None where the first Service does for them."""
    return _inside(domain, names.plain(domain), _ports(proxied=False)) if behind_proxy(domain) else None


def build_lmtp_service(domain: MailDomain) -> Object | None:
    """For mail servers that hand over; None where none may. Never reached from outside the cluster."""
    port = listeners.LMTP
    ports = [{"name": port.name, "port": port.standard, "targetPort": port.name, "protocol": "TCP"}]
    return _inside(domain, names.lmtp(domain), ports) if takes_lmtp(domain) else None


def _inside(domain: MailDomain, name: str, ports: list[Object]) -> Object:
    written = server_of(domain).service.wire()
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": names.metadata(domain, name),
        "spec": {
            "type": "ClusterIP",
            "selector": names.selector(domain),
            "ports": ports,
            **{name: written[name] for name in _FAMILIES if written.get(name)},
        },
    }


def _ports(*, proxied: bool) -> list[Object]:
    return [
        {
            "name": port.name,
            "port": port.standard,
            "targetPort": port.proxied_name if proxied else port.name,
            "protocol": "TCP",
        }
        for port in listeners.PORTS
    ]


def _fitting(kind: str, chosen: Object) -> Object:
    """The API server refuses what the type does not have. `Local` keeps the client's address (OPERATOR.md rule 37)."""
    if kind in _OUTSIDE:
        chosen = {"externalTrafficPolicy": "Local", **chosen}
    else:
        chosen = {name: value for name, value in chosen.items() if name != "externalTrafficPolicy"}
    if kind != "LoadBalancer":
        chosen = {name: value for name, value in chosen.items() if name not in _LOAD_BALANCER_ONLY}
    return chosen
