"""All Kubernetes objects of a MailDomain, in the order in which they are applied: what others refer to comes first."""

from __future__ import annotations

from typing import Final

from mailoperator.build.autoscaler import build_autoscaler
from mailoperator.build.certificate import build_certificate
from mailoperator.build.configmap import build_configmap
from mailoperator.build.deployment import build_deployment
from mailoperator.build.disruption import build_disruption_budget
from mailoperator.build.headless import build_headless
from mailoperator.build.inputs import CERTIFICATES, POD_MONITORS, BuildInputs, Object
from mailoperator.build.networkpolicy import build_network_policy
from mailoperator.build.podmonitor import build_pod_monitor
from mailoperator.build.service import build_lmtp_service, build_plain_service, build_service
from mailoperator.build.serviceaccount import build_serviceaccount
from mailoperator.model import MailDomain

CHILD_KINDS: Final = (
    ("v1", "ServiceAccount"),
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("policy/v1", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("apps/v1", "Deployment"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    (POD_MONITORS, "PodMonitor"),
    (CERTIFICATES, "Certificate"),
)
"""Where to look for children that are wanted no longer; the last two only where the cluster knows them."""


def build_children(domain: MailDomain, inputs: BuildInputs) -> list[Object]:
    """For a domain that another serves: its Certificate alone, if it has one."""
    certificate = build_certificate(domain, inputs.apis)
    if domain.spec.served_by_ref is not None:
        return [certificate] if certificate else []
    wanted = [
        build_serviceaccount(domain),
        build_configmap(domain, inputs),
        build_service(domain),
        build_plain_service(domain),
        build_lmtp_service(domain),
        build_headless(domain),
        build_disruption_budget(domain),
        build_network_policy(domain, inputs),
        build_deployment(domain, inputs),
        build_autoscaler(domain),
        build_pod_monitor(domain, inputs),
        certificate,
    ]
    return [child for child in wanted if child is not None]
