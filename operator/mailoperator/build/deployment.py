"""The Deployment of a server's mail pods."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from mailoperator.build import names
from mailoperator.build.inputs import BuildInputs, Object
from mailoperator.build.podtemplate import build_pod_template
from mailoperator.build.server import fixed_replicas
from mailoperator.model import MailDomain

TEMPLATE: Final = "mailpod.dev/template-hash"
"""An annotation of the Deployment: by it an apply is known to roll pods, or not to (OPERATOR.md rule 40)."""


def build_deployment(domain: MailDomain, inputs: BuildInputs) -> Object:
    """With an autoscaler `replicas` is left out: who applies it hands the number over first (OPERATOR.md rule 36)."""
    template = build_pod_template(domain, inputs)
    spec: Object = {
        "selector": {"matchLabels": names.selector(domain)},
        "revisionHistoryLimit": 3,
        "progressDeadlineSeconds": 300,
        # A new pod is ready before an old one goes: with one replica, too, somebody answers.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": template,
    }
    replicas = fixed_replicas(domain)
    if replicas is not None:
        spec["replicas"] = replicas
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:16]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**names.metadata(domain, names.base(domain)), "annotations": {TEMPLATE: digest}},
        "spec": spec,
    }
