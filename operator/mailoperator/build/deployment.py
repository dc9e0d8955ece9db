"""The Deployment of a server's mail pods."""

from __future__ import annotations

from mailoperator.build import names
from mailoperator.build.inputs import BuildInputs, Object
from mailoperator.build.podtemplate import build_pod_template
from mailoperator.build.server import fixed_replicas
from mailoperator.model import MailDomain


def build_deployment(domain: MailDomain, inputs: BuildInputs) -> Object:
    """With an autoscaler `replicas` is left out: who applies it hands the number over first (OPERATOR.md rule 36)."""
    spec: Object = {
        "selector": {"matchLabels": names.selector(domain)},
        "revisionHistoryLimit": 3,
        "progressDeadlineSeconds": 300,
        # A new pod is ready before an old one goes: with one replica, too, somebody answers.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": build_pod_template(domain, inputs),
    }
    replicas = fixed_replicas(domain)
    if replicas is not None:
        spec["replicas"] = replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": names.metadata(domain, names.base(domain)),
        "spec": spec,
    }
