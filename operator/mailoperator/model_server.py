"""`spec.server`: what runs, where mail is kept and how it is reached. For whoever runs the infrastructure (rule 29)."""

# ruff: noqa: RUF012  pydantic copies defaults, which ruff does not see of a model in another file

from __future__ import annotations

import ipaddress
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field, StrictInt, StringConstraints

from mailoperator.model_base import (
    ATOMIC_LIST,
    AnnotationMap,
    DomainName,
    LabelMap,
    Matching,
    Model,
    ObjectRef,
    Toggle,
    Unique,
    by_key,
    rule,
)
from mailoperator.model_scheduling import Affinity, PriorityClass, Tolerations, TopologySpreads
from mailoperator.model_storage import Storage
from mailoperator.quantity import Amount

Replicas: TypeAlias = Annotated[StrictInt, Field(ge=1, le=100)]


class Autoscaling(Model):
    """A HorizontalPodAutoscaler decides the number of pods."""

    min_replicas: Replicas = 2
    """The fewest pods."""
    max_replicas: Replicas
    """The most pods."""
    target_cpu_utilization_percentage: Annotated[
        StrictInt, Field(ge=1, le=100, alias="targetCPUUtilizationPercentage")
    ] = 70
    """Of the CPU that the pods request, on average."""

    @rule("self.minReplicas <= self.maxReplicas", "minReplicas is more than maxReplicas", ".minReplicas")
    def _in_order(self) -> bool:
        return self.min_replicas <= self.max_replicas


class Service(Model):
    """How mail clients and other servers reach the pods."""

    type: Literal["ClusterIP", "LoadBalancer", "NodePort"] = "ClusterIP"
    """The Service's type."""
    annotations: AnnotationMap = {}
    """Of the Service, for load balancers and external-dns."""
    external_traffic_policy: Literal["Local", "Cluster"] | None = None
    """Local, the default, keeps clients' addresses, which SPF and rate limits need. For LoadBalancer and NodePort."""
    ip_families: Annotated[list[Literal["IPv4", "IPv6"]], Field(max_length=2), ATOMIC_LIST] = []
    """Address families, the first one first; by default the cluster's."""
    ip_family_policy: Literal["SingleStack", "PreferDualStack", "RequireDualStack"] | None = None
    """Whether one family or both."""
    load_balancer_class: (
        Annotated[
            str,
            StringConstraints(max_length=317),
            Matching(r"^([-a-z0-9.]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", "a load balancer's class"),
        ]
        | None
    ) = None
    """Which kind of load balancer; by default the cluster's."""
    load_balancer_source_ranges: Annotated[
        list[Annotated[str, StringConstraints(max_length=49)]], Field(max_length=32), Unique()
    ] = []
    """Who may connect, as CIDRs; by default everyone."""
    proxy_networks: Annotated[
        list[Annotated[str, StringConstraints(max_length=49)]], Field(max_length=32), Unique()
    ] = []
    """Load balancers, as CIDRs, that begin each connection with a PROXY header (version 1 or 2): who the client is.
    The Service's ports then need one; a second Service, of the same name and `-plain`, is for inside the cluster."""
    lmtp_networks: Annotated[
        list[Annotated[str, StringConstraints(max_length=49)]], Field(max_length=32), Unique()
    ] = []
    """Mail servers, as CIDRs, that hand over by LMTP, without a log-in: to port 24 of a Service for inside the cluster,
    of the same name and `-lmtp`."""

    @rule(
        "!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'",
        "externalTrafficPolicy is for type LoadBalancer or NodePort",
        ".externalTrafficPolicy",
    )
    def _policy_is_used(self) -> bool:
        return self.external_traffic_policy is None or self.type != "ClusterIP"

    @rule(
        "self.type == 'LoadBalancer' || !(has(self.loadBalancerClass) || has(self.loadBalancerSourceRanges))",
        "loadBalancerClass and loadBalancerSourceRanges are for type LoadBalancer",
    )
    def _balancer_is_used(self) -> bool:
        return self.type == "LoadBalancer" or not (self.load_balancer_class or self.load_balancer_source_ranges)

    @rule(
        "!has(self.loadBalancerSourceRanges) || self.loadBalancerSourceRanges.all(range, isCIDR(range))",
        "loadBalancerSourceRanges must be CIDRs such as 192.0.2.0/24",
        ".loadBalancerSourceRanges",
    )
    def _ranges(self) -> bool:
        return all(map(_is_cidr, self.load_balancer_source_ranges))

    @rule(
        "!has(self.lmtpNetworks) || self.lmtpNetworks.all(range, isCIDR(range))",
        "lmtpNetworks must be CIDRs such as 10.0.0.0/8",
        ".lmtpNetworks",
    )
    def _lmtp(self) -> bool:
        return all(map(_is_cidr, self.lmtp_networks))

    @rule(
        "!has(self.proxyNetworks) || self.proxyNetworks.all(range, isCIDR(range))",
        "proxyNetworks must be CIDRs such as 10.0.0.0/8",
        ".proxyNetworks",
    )
    def _proxies(self) -> bool:
        return all(map(_is_cidr, self.proxy_networks))

    @rule(
        "!has(self.ipFamilies) || self.ipFamilies.size() < 2 ||"
        " has(self.ipFamilyPolicy) && self.ipFamilyPolicy != 'SingleStack' && self.ipFamilies[0] != self.ipFamilies[1]",
        "two ipFamilies must differ, and need ipFamilyPolicy PreferDualStack or RequireDualStack",
        ".ipFamilies",
    )
    def _families(self) -> bool:
        two = len(self.ip_families) == 2
        return not two or (
            self.ip_family_policy not in (None, "SingleStack") and self.ip_families[0] != self.ip_families[1]
        )


def _is_cidr(written: str) -> bool:
    try:
        ipaddress.ip_network(written, strict=False)
    except ValueError:
        return False
    return "/" in written


class Resources(Model):
    """What a container asks for and may use at most."""

    requests: Annotated[dict[str, Amount], Field(max_length=8)] = {}
    """What the scheduler keeps for it: `cpu: 500m`, `memory: 512Mi`."""
    limits: Annotated[dict[str, Amount], Field(max_length=8)] = {}
    """The most it gets."""


_OPERATORS = "the keys under mailpod.dev/ and app.kubernetes.io/ are the operator's"


class PodTemplate(Model):
    """What may be said about the pods; everything else is the operator's."""

    resources: Resources | None = None
    """Of the mail container."""
    node_selector: LabelMap = {}
    """Labels of nodes to run on."""
    tolerations: Tolerations = []
    """Taints that do not keep pods away."""
    affinity: Affinity | None = None
    """Where pods run, by nodes and by other pods."""
    topology_spread_constraints: TopologySpreads = []
    """How pods are spread; by default over nodes and zones."""
    priority_class_name: PriorityClass | None = None
    """A PriorityClass."""
    image_pull_secrets: Annotated[list[ObjectRef], Field(max_length=8), by_key("name")] = []
    """Secrets for pulling the image."""
    labels: LabelMap = {}
    """More labels of the pods."""
    annotations: AnnotationMap = {}
    """More annotations of the pods."""

    @rule(
        "!has(self.labels) || self.labels.all(key,"
        " !key.startsWith('mailpod.dev/') && !key.startsWith('app.kubernetes.io/'))",
        f"labels: {_OPERATORS}",
        ".labels",
    )
    def _own_labels(self) -> bool:
        return not any(key.startswith(("mailpod.dev/", "app.kubernetes.io/")) for key in self.labels)

    @rule(
        "!has(self.annotations) || self.annotations.all(key, !key.startsWith('mailpod.dev/'))",
        "annotations: the keys under mailpod.dev/ are the operator's",
        ".annotations",
    )
    def _own_annotations(self) -> bool:
        return not any(key.startswith("mailpod.dev/") for key in self.annotations)


class Monitoring(Model):
    """Monitoring by the Prometheus operator."""

    pod_monitor: Toggle = "Disabled"
    """Whether a PodMonitor is made, where the cluster knows them."""


_HTTP: Final = Matching(r"^https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?/?$", "http://HOST:PORT")


class Rspamd(Model):
    """A spam filter that is asked about mail that comes in."""

    url: Annotated[str, StringConstraints(max_length=253), _HTTP]
    """Of its normal worker: `http://rspamd.filters:11333`."""
    controller_url: Annotated[str, StringConstraints(max_length=253), _HTTP] | None = None
    """Of its controller, which must trust the pods (`secure_ip`): `http://rspamd.filters:11334`. It is taught what
    users move into Junk, and out of it; by default nothing is."""
    on_failure: Literal["Accept", "Defer"] = "Accept"
    """Where it does not answer: mail is taken unfiltered, or the sending server tries again later."""


class Server(Model):
    """Pods, Service and bucket of this domain and of those that name it in servedByRef."""

    storage: Storage | None = None
    """Where mail is kept; by default in the bucket of the installation."""
    replicas: Replicas | None = None
    """Number of pods; by default 2. What `kubectl scale` changes."""
    autoscaling: Autoscaling | None = None
    """Instead of replicas."""
    service: Service = Service()
    """How the pods are reached."""
    image: (
        Annotated[
            str,
            StringConstraints(max_length=512),
            Matching(r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$", "an image: registry.example.com/mailpod:1.0"),
        ]
        | None
    ) = None
    """The pods' image; by default the installation's."""
    pod_template: PodTemplate = PodTemplate()
    """What may be said about the pods."""
    monitoring: Monitoring = Monitoring()
    """Monitoring by the Prometheus operator."""
    blocklists: Annotated[list[DomainName], Field(max_length=10), Unique()] = []
    """DNS blocklists: a client of port 25 that is on one of them is refused, naming the list."""
    client_recipients_per_hour: Annotated[StrictInt, Field(ge=1, le=100_000_000)] | None = None
    """How many recipients one client of port 25 may write to, by its address (IPv6: its /64), in each pod."""
    rspamd: Rspamd | None = None
    """The spam filter; by default there is none."""
    network_policy: Toggle = "Disabled"
    """Whether a NetworkPolicy is made that lets in nothing but mail, probes and metrics."""

    @rule("!(has(self.replicas) && has(self.autoscaling))", "replicas and autoscaling exclude each other", ".replicas")
    def _one_decides(self) -> bool:
        return self.replicas is None or self.autoscaling is None
