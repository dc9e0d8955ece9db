"""The HorizontalPodAutoscaler, by CPU. Down slowly: every pod that goes cuts its clients' sessions."""

from __future__ import annotations

from mailoperator.build import names
from mailoperator.build.inputs import Object
from mailoperator.build.server import server_of
from mailoperator.model import MailDomain


def build_autoscaler(domain: MailDomain) -> Object | None:
    """None where the number of pods is fixed."""
    wanted = server_of(domain).autoscaling
    if wanted is None:
        return None
    target = {"type": "Utilization", "averageUtilization": wanted.target_cpu_utilization_percentage}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": names.metadata(domain, names.base(domain)),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": names.base(domain)},
            "minReplicas": wanted.min_replicas,
            "maxReplicas": wanted.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            "behavior": {
                "scaleDown": {
                    "stabilizationWindowSeconds": 600,
                    "policies": [{"type": "Pods", "value": 1, "periodSeconds": 120}],
                }
            },
        },
    }
