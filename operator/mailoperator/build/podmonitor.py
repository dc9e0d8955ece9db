"""The PodMonitor: Prometheus' operator scrapes every mail pod."""

from __future__ import annotations

from mailoperator.build import names
from mailoperator.build.inputs import POD_MONITORS, BuildInputs, Object
from mailoperator.build.server import server_of
from mailoperator.model import MailDomain


def build_pod_monitor(domain: MailDomain, inputs: BuildInputs) -> Object | None:
    """None where it is not switched on, or the cluster does not know PodMonitors."""
    if server_of(domain).monitoring.pod_monitor != "Enabled" or POD_MONITORS not in inputs.apis:
        return None
    return {
        "apiVersion": POD_MONITORS,
        "kind": "PodMonitor",
        "metadata": names.metadata(domain, names.base(domain)),
        "spec": {
            "selector": {"matchLabels": names.selector(domain)},
            "podMetricsEndpoints": [{"port": "http", "path": "/metrics"}],
        },
    }
