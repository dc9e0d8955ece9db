"""The pod template: what is ours and fixed, and the overrides that a MailDomain may make (OPERATOR.md rule 29).

The overrides are an allow-list: none reaches the security context, the volumes, the command or the ServiceAccount.
"""

from __future__ import annotations

from typing import Any

from mailoperator.build import names
from mailoperator.build.configmap import HASH, config_hash, settings_text
from mailoperator.build.container import TERMINATION_SECONDS, USER, build_container, build_volumes, container_ports
from mailoperator.build.inputs import BuildInputs, Object
from mailoperator.build.server import server_of
from mailoperator.model import MailDomain


def build_pod_template(domain: MailDomain, inputs: BuildInputs) -> Object:
    overrides = _overrides(domain)
    annotations = {**overrides.get("annotations", {}), HASH: pod_hash(domain, inputs)}
    fixed = {
        "serviceAccountName": names.base(domain),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": TERMINATION_SECONDS,
        "containers": [build_container(domain, inputs)],
        "volumes": build_volumes(domain, inputs),
    }
    chosen = {key: value for key, value in overrides.items() if key not in ("labels", "annotations", "resources")}
    return {
        "metadata": {"labels": {**overrides.get("labels", {}), **names.labels(domain)}, "annotations": annotations},
        "spec": {"topologySpreadConstraints": default_spread(domain), **chosen, **fixed},
    }


def pod_hash(domain: MailDomain, inputs: BuildInputs) -> str:
    """Of what the pods read only at their start and the rest of the template does not show.

    The Secrets are by name: what is in them is read again while the pod runs.
    """
    return config_hash(
        {
            "settings": settings_text(domain, inputs),
            "credentialsSecret": inputs.bucket.credentials_secret,
            "ports": [port["containerPort"] for port in container_ports(domain) if port["protocol"] == "TCP"],
        }
    )


def default_spread(domain: MailDomain) -> list[Object]:
    """Over zones and nodes as far as there are some; pods of one template are counted, or an update would skew it."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": names.selector(domain)},
            "matchLabelKeys": ["pod-template-hash"],
        }
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]


def _overrides(domain: MailDomain) -> dict[str, Any]:
    """As they are written, in Kubernetes' own names; what is empty is left out."""
    written = {key: value for key, value in server_of(domain).pod_template.wire().items() if value}
    selector = {"labelSelector": {"matchLabels": names.selector(domain)}}
    if spread := written.get("topologySpreadConstraints"):
        written["topologySpreadConstraints"] = [{**selector, **constraint} for constraint in spread]
    return written
