"""What Kubernetes is told about where pods run, as in a PodSpec (core/v1): bounds only, Kubernetes has its rules."""

# ruff: noqa: RUF012  pydantic copies defaults, which ruff does not see of a model in another file

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StrictInt, StringConstraints

from mailoperator.model_base import ATOMIC_LIST, LabelKey, LabelMap, LabelValue, Model, ObjectName, by_key

Weight: TypeAlias = Annotated[StrictInt, Field(ge=1, le=100)]
Values: TypeAlias = Annotated[list[LabelValue], Field(max_length=32), ATOMIC_LIST]
Names: TypeAlias = Annotated[list[ObjectName], Field(max_length=16), ATOMIC_LIST]
Keys: TypeAlias = Annotated[list[LabelKey], Field(max_length=8), ATOMIC_LIST]


class LabelRequirement(Model):
    """A condition on a label of pods."""

    key: LabelKey
    """The label."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How it is compared with the values."""
    values: Values = []
    """For In and NotIn."""


class LabelSelector(Model):
    """Objects with all of these labels."""

    ATOMIC = True

    match_labels: LabelMap = {}
    """Labels and their values."""
    match_expressions: Annotated[list[LabelRequirement], Field(max_length=8), ATOMIC_LIST] = []
    """Conditions on labels."""


class NodeRequirement(Model):
    """A condition on a label or field of nodes."""

    key: LabelKey
    """The label or field."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    """How it is compared with the values."""
    values: Values = []
    """One, for Gt and Lt; none, for Exists and DoesNotExist."""


class NodeSelectorTerm(Model):
    """Nodes that meet all of these."""

    ATOMIC = True

    match_expressions: Annotated[list[NodeRequirement], Field(max_length=8), ATOMIC_LIST] = []
    """Conditions on labels."""
    match_fields: Annotated[list[NodeRequirement], Field(max_length=8), ATOMIC_LIST] = []
    """Conditions on fields."""


class NodeSelector(Model):
    """Nodes that meet one of the terms."""

    ATOMIC = True

    node_selector_terms: Annotated[list[NodeSelectorTerm], Field(max_length=8), ATOMIC_LIST]
    """The terms."""


class PreferredNodes(Model):
    """Nodes that are better than others."""

    weight: Weight
    """How much better, 1 to 100."""
    preference: NodeSelectorTerm
    """Which."""


class NodeAffinity(Model):
    """Nodes to run on."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    """On no others."""
    preferred_during_scheduling_ignored_during_execution: Annotated[
        list[PreferredNodes], Field(max_length=8), ATOMIC_LIST
    ] = []
    """Rather on these."""


class PodAffinityTerm(Model):
    """Pods in the same topology domain."""

    label_selector: LabelSelector | None = None
    """The pods."""
    namespace_selector: LabelSelector | None = None
    """Namespaces of the pods."""
    namespaces: Names = []
    """Namespaces of the pods, by name; by default this one."""
    topology_key: LabelKey
    """The label of nodes that makes the domain."""
    match_label_keys: Keys = []
    """Labels in which the pods must be as the new one."""
    mismatch_label_keys: Keys = []
    """Labels in which the pods must differ from the new one."""


class WeightedPodAffinityTerm(Model):
    """Pods whose nearness counts."""

    weight: Weight
    """How much it counts, 1 to 100."""
    pod_affinity_term: PodAffinityTerm
    """Which pods."""


class PodAffinity(Model):
    """Pods to run near, or not near."""

    required_during_scheduling_ignored_during_execution: Annotated[
        list[PodAffinityTerm], Field(max_length=8), ATOMIC_LIST
    ] = []
    """Always."""
    preferred_during_scheduling_ignored_during_execution: Annotated[
        list[WeightedPodAffinityTerm], Field(max_length=8), ATOMIC_LIST
    ] = []
    """Where it can be had."""


class Affinity(Model):
    """Where pods run, by nodes and by other pods."""

    node_affinity: NodeAffinity | None = None
    """Nodes to run on."""
    pod_affinity: PodAffinity | None = None
    """Pods to run near."""
    pod_anti_affinity: PodAffinity | None = None
    """Pods not to run near."""


class Toleration(Model):
    """A taint of nodes that does not keep pods away."""

    key: LabelKey | None = None
    """The taint's key; by default every one."""
    operator: Literal["Equal", "Exists"] | None = None
    """Equal by default."""
    value: LabelValue | None = None
    """For Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """By default every effect."""
    toleration_seconds: Annotated[StrictInt, Field(ge=0, le=2**31)] | None = None
    """For NoExecute: how long; by default for ever."""


class TopologySpread(Model):
    """How pods are spread over nodes or zones."""

    max_skew: Weight
    """The most by which two domains may differ."""
    topology_key: LabelKey
    """The label of nodes that makes the domains: `topology.kubernetes.io/zone`."""
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    """What happens where it cannot be had."""
    label_selector: LabelSelector | None = None
    """Pods that count; by default the MailDomain's."""
    match_label_keys: Keys = []
    """Labels in which pods that count are as the new one."""
    min_domains: Weight | None = None
    """The fewest domains."""
    node_affinity_policy: Literal["Honor", "Ignore"] | None = None
    """Whether nodes that affinity excludes count."""
    node_taints_policy: Literal["Honor", "Ignore"] | None = None
    """Whether tainted nodes count."""


Tolerations: TypeAlias = Annotated[list[Toleration], Field(max_length=16), ATOMIC_LIST]
TopologySpreads: TypeAlias = Annotated[
    list[TopologySpread], Field(max_length=8), by_key("topologyKey", "whenUnsatisfiable")
]
PriorityClass: TypeAlias = Annotated[
    str, StringConstraints(max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
]
