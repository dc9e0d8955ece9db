"""The PodDisruptionBudget: drains take one pod at a time."""

from __future__ import annotations

from mailoperator.build import names
from mailoperator.build.inputs import Object
from mailoperator.build.server import fewest_replicas
from mailoperator.model import MailDomain


def build_disruption_budget(domain: MailDomain) -> Object | None:
    """None with a single pod: a budget there would block every drain of its node (OPERATOR.md rule 24)."""
    if fewest_replicas(domain) < 2:
        return None
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": names.metadata(domain, names.base(domain)),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": names.selector(domain)},
            # A pod that is broken anyway must not keep its node from being drained.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
