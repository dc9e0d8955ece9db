"""The headless Service: its name resolves to every pod, for the hints that pods send each other."""

from __future__ import annotations

from mailoperator.build import listeners, names
from mailoperator.build.inputs import Object
from mailoperator.build.server import server_of
from mailoperator.model import MailDomain


def build_headless(domain: MailDomain) -> Object:
    """Pods that are not ready are found too: one that drains still wants to know."""
    written = server_of(domain).service.wire()
    families = {name: written[name] for name in ("ipFamilies", "ipFamilyPolicy") if written.get(name)}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": names.metadata(domain, names.headless(domain)),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": names.selector(domain),
            "ports": [{"name": "hints", "port": listeners.HINTS, "targetPort": "hints", "protocol": "UDP"}],
            **families,
        },
    }
