"""The Service that mail clients and other mail servers connect to, on the standard ports."""

from __future__ import annotations

from typing import Final

from mailoperator.build import listeners, names
from mailoperator.build.inputs import Object
from mailoperator.build.server import server_of
from mailoperator.model import MailDomain

_OURS: Final = ("type", "annotations")
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
            "ports": [
                {"name": port.name, "port": port.standard, "targetPort": port.name, "protocol": "TCP"}
                for port in listeners.PORTS
            ],
            **_fitting(kind, chosen),
        },
    }


def _fitting(kind: str, chosen: Object) -> Object:
    """The API server refuses what the type does not have. `Local` keeps the client's address (OPERATOR.md rule 37)."""
    if kind in _OUTSIDE:
        chosen = {"externalTrafficPolicy": "Local", **chosen}
    else:
        chosen = {name: value for name, value in chosen.items() if name != "externalTrafficPolicy"}
    if kind != "LoadBalancer":
        chosen = {name: value for name, value in chosen.items() if name not in _LOAD_BALANCER_ONLY}
    return chosen
