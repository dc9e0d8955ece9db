"""Every rule of the schemas, with manifests that keep it and manifests that break it.

Used twice: against the models (test_model.py) and against a real API server (tests/apiserver/test_crds.py). A rule
without a case here fails both.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Raw: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """A rule, by a piece of its message that no other has."""

    message: str
    kind: str
    good: list[Raw]
    """Specs that are taken. Of a rule about changes: what may follow `before`."""
    bad: list[Raw]
    """Specs that are refused. Of a rule about changes: what may not follow `before`."""
    before: Raw | None = None
    """Of a rule about changes: what there was. Otherwise the rule is about a spec alone, and Python knows it too."""
    name: str = "a"
    bad_names: list[str] = field(default_factory=list)
    """Of a rule about names: with `good[0]` as spec."""


def domain(**spec: Any) -> Raw:
    return {"domainName": "example.com", **spec}


def server(**spec: Any) -> Raw:
    return domain(server=spec)


def storage(**spec: Any) -> Raw:
    return server(storage={"bucket": "mail", **spec})


def service(**spec: Any) -> Raw:
    return server(service=spec)


def pods(**spec: Any) -> Raw:
    return server(podTemplate=spec)


def mailbox(**spec: Any) -> Raw:
    return {"domainRef": {"name": "example"}, **spec}


def manifest(kind: str, name: str, spec: Raw) -> Raw:
    return {
        "apiVersion": "mailpod.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": copy.deepcopy(spec),
    }


REF = {"name": "x"}

CASES = [
    # -- MailDomain
    Case(
        "domainName cannot be changed",
        "MailDomain",
        [domain(hostname="mx.example.com")],
        [{"domainName": "example.org"}],
        before=domain(),
    ),
    Case(
        "servedByRef cannot be changed",
        "MailDomain",
        [domain(servedByRef=REF, hostname="mx.example.com")],
        [domain(servedByRef={"name": "y"}), domain()],
        before=domain(servedByRef=REF),
    ),
    Case("servedByRef cannot be changed", "MailDomain", [domain()], [domain(servedByRef=REF)], before=domain()),
    Case(
        "server.storage cannot be set or removed later",
        "MailDomain",
        [storage(region="eu-1")],
        [server(replicas=2), domain()],
        before=storage(),
    ),
    Case(
        "server.storage cannot be set or removed later",
        "MailDomain",
        [server(replicas=2)],
        [storage()],
        before=domain(),
    ),
    Case(
        "bucket cannot be changed",
        "MailDomain",
        [storage(endpoint="https://s3.example.com")],
        [server(storage={"bucket": "other"})],
        before=storage(),
    ),
    Case(
        "prefix cannot be changed",
        "MailDomain",
        [storage(prefix="a/b", region="eu-1")],
        [storage(prefix="a/c"), storage()],
        before=storage(prefix="a/b"),
    ),
    Case("prefix cannot be changed", "MailDomain", [storage()], [storage(prefix="a")], before=storage()),
    Case(
        "forwardingDomains are for forwardingPolicy Listed",
        "MailDomain",
        [
            domain(forwardingPolicy="Listed", forwardingDomains=["far.example"]),
            domain(forwardingPolicy="Any"),
            domain(forwardingDomains=[]),
        ],
        [
            domain(forwardingDomains=["far.example"]),
            domain(forwardingPolicy="Any", forwardingDomains=["far.example"]),
            domain(forwardingPolicy="Listed"),
            domain(forwardingPolicy="Listed", forwardingDomains=[]),
        ],
    ),
    Case(
        "servedByRef and server exclude each other",
        "MailDomain",
        [domain(), domain(servedByRef=REF), server()],
        [domain(servedByRef=REF, server={})],
    ),
    Case(
        "credentialsSecretRef needs TLS",
        "MailDomain",
        [
            domain(outbound={"smarthost": {"host": "relay.example.com", "credentialsSecretRef": REF}}),
            domain(outbound={"smarthost": {"host": "relay.example.com", "tls": "None"}}),
        ],
        [
            domain(outbound={"smarthost": {"host": "relay.example.com", "tls": "None", "credentialsSecretRef": REF}}),
        ],
    ),
    Case(
        "addresses must be IP addresses",
        "MailDomain",
        [
            domain(outbound={"addresses": ["192.0.2.1", "198.51.100.0/24", "2001:db8::9", "2001:db8::/32"]}),
            domain(outbound={"addresses": []}),
        ],
        [
            domain(outbound={"addresses": ["192.0.2.1", bad]})
            for bad in ("192.0.2", "192.0.2.0/33", "mx.example.com", "")
        ],
    ),
    Case(
        "firstRetryMinutes is more than longestRetryMinutes",
        "MailDomain",
        [
            domain(outbound={"firstRetryMinutes": 60, "longestRetryMinutes": 60}),
            domain(outbound={"longestRetryMinutes": 5}),
        ],
        [
            domain(outbound={"firstRetryMinutes": 2, "longestRetryMinutes": 1}),
            domain(outbound={"firstRetryMinutes": 241}),
        ],
    ),
    Case(
        "servedByRef and outbound exclude each other",
        "MailDomain",
        [domain(outbound={"resolver": "192.0.2.1:53"}), domain(outbound={"resolver": "[2001:db8::1]:53"})],
        [domain(servedByRef=REF, outbound={})],
    ),
    Case(
        "aliasDomains has domainName in it",
        "MailDomain",
        [domain(aliasDomains=["example.net", "example.org"]), domain(aliasDomains=[])],
        [domain(aliasDomains=["example.net", "example.com"])],
    ),
    Case(
        "maxMessageSize is more than 1Gi",
        "MailDomain",
        [domain(maxMessageSize="1Gi"), domain(maxMessageSize=1 << 30), domain(maxMessageSize="0.5Gi")],
        [domain(maxMessageSize="1.1Gi"), domain(maxMessageSize=(1 << 30) + 1), domain(maxMessageSize="2G")],
    ),
    Case(
        "servedByRef names this MailDomain itself",
        "MailDomain",
        [domain(servedByRef=REF)],
        [],
        bad_names=["x"],
    ),
    Case(
        "metadata.name must be a DNS label of at most 50 characters",
        "MailDomain",
        [domain()],
        [],
        name="a" * 50,
        bad_names=["a" * 51, "example.com", "1and1"],
    ),
    Case(
        "metadata.name must be a DNS label of at most 50 characters",  # one without pods of its own is free
        "MailDomain",
        [domain(servedByRef=REF)],
        [],
        name="example.com." + "a" * 60,
    ),
    Case(
        "exactly one of secretRef, issuerRef and selfSigned is required",
        "MailDomain",
        [domain(tls={"secretRef": REF}), domain(tls={"issuerRef": REF}), domain(tls={"selfSigned": {}})],
        [
            domain(tls={}),
            domain(tls={"secretRef": REF, "selfSigned": {}}),
            domain(tls={"secretRef": REF, "issuerRef": REF, "selfSigned": {}}),
        ],
    ),
    # -- server
    Case(
        "replicas and autoscaling exclude each other",
        "MailDomain",
        [server(replicas=3), server(autoscaling={"maxReplicas": 5})],
        [server(replicas=3, autoscaling={"maxReplicas": 5})],
    ),
    Case(
        "minReplicas is more than maxReplicas",
        "MailDomain",
        [server(autoscaling={"minReplicas": 3, "maxReplicas": 3})],
        [server(autoscaling={"minReplicas": 4, "maxReplicas": 3}), server(autoscaling={"maxReplicas": 1})],
    ),
    Case(
        "credentialsSecretRef and workloadIdentity exclude each other",
        "MailDomain",
        [storage(credentialsSecretRef=REF), storage(workloadIdentity={"serviceAccountAnnotations": {"a/b": "c"}})],
        [storage(credentialsSecretRef=REF, workloadIdentity={})],
    ),
    Case(
        "endpoint cannot be a link-local address",
        "MailDomain",
        [storage(endpoint="https://s3.example.com:9000"), storage(endpoint="http://[2001:db8::1]:80")],
        [
            storage(endpoint="http://169.254.169.254"),
            storage(endpoint="https://169.254.0.1:443/"),
            storage(endpoint="http://[FE80::1]:80"),
            storage(endpoint="http://[febf::1]"),
        ],
    ),
    Case(
        "kmsKeyId is for type SSEKMS",
        "MailDomain",
        [storage(encryption={"type": "SSEKMS", "kmsKeyId": "k"}), storage(encryption={"type": "SSES3"})],
        [storage(encryption={"kmsKeyId": "k"}), storage(encryption={"type": "SSES3", "kmsKeyId": "k"})],
    ),
    Case(
        "externalTrafficPolicy is for type LoadBalancer or NodePort",
        "MailDomain",
        [service(type="LoadBalancer", externalTrafficPolicy="Local"), service(type="NodePort")],
        [service(externalTrafficPolicy="Local"), service(type="ClusterIP", externalTrafficPolicy="Cluster")],
    ),
    Case(
        "loadBalancerClass and loadBalancerSourceRanges are for type LoadBalancer",
        "MailDomain",
        [service(type="LoadBalancer", loadBalancerClass="example.com/x", loadBalancerSourceRanges=["10.0.0.0/8"])],
        [service(loadBalancerClass="x"), service(type="NodePort", loadBalancerSourceRanges=["10.0.0.0/8"])],
    ),
    Case(
        "loadBalancerSourceRanges must be CIDRs",
        "MailDomain",
        [service(type="LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/24", "2001:db8::/32"])],
        [service(type="LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/24", bad]) for bad in ("192.0.2.1", "x")],
    ),
    Case(
        "proxyNetworks must be CIDRs",
        "MailDomain",
        [service(proxyNetworks=["10.0.0.0/8", "2001:db8::/32"])],
        [service(proxyNetworks=["10.0.0.0/8", bad]) for bad in ("10.0.0.1", "x")],
    ),
    Case(
        "lmtpNetworks must be CIDRs",
        "MailDomain",
        [service(lmtpNetworks=["10.0.0.0/8", "2001:db8::/32"])],
        [service(lmtpNetworks=["10.0.0.0/8", bad]) for bad in ("10.0.0.1", "x")],
    ),
    Case(
        "two ipFamilies must differ",
        "MailDomain",
        [
            service(ipFamilies=["IPv6"]),
            service(ipFamilies=["IPv6"], ipFamilyPolicy="SingleStack"),
            service(ipFamilies=["IPv6", "IPv4"], ipFamilyPolicy="RequireDualStack"),
        ],
        [
            service(ipFamilies=["IPv6", "IPv4"]),
            service(ipFamilies=["IPv6", "IPv4"], ipFamilyPolicy="SingleStack"),
            service(ipFamilies=["IPv4", "IPv4"], ipFamilyPolicy="PreferDualStack"),
        ],
    ),
    Case(
        "labels: the keys under",
        "MailDomain",
        [pods(labels={"team": "mail", "example.com/mailpod.dev": "x"})],
        [pods(labels={"app.kubernetes.io/name": "x"}), pods(labels={"mailpod.dev/x": "y"})],
    ),
    Case(
        "annotations: the keys under",
        "MailDomain",
        [pods(annotations={"linkerd.io/inject": "disabled"})],
        [pods(annotations={"mailpod.dev/config-hash": "x"})],
    ),
    Case(
        "INBOX is written in capitals",
        "MailDomain",
        [domain(mailboxDefaults={"retention": [{"folder": "Trash", "days": 30}, {"folder": "Junk", "days": 14}]})],
        [domain(mailboxDefaults={"retention": [{"folder": "inbox", "days": 365}]})],
    ),
    # -- Mailbox
    Case(
        "domainRef cannot be changed",
        "Mailbox",
        [mailbox(suspended=True)],
        [{"domainRef": {"name": "other"}}],
        before=mailbox(),
    ),
    Case(
        "localPart cannot be changed",
        "Mailbox",
        [mailbox(localPart="alice", aliases=["b"])],
        [mailbox(localPart="bob"), mailbox()],
        before=mailbox(localPart="alice"),
    ),
    Case("localPart cannot be changed", "Mailbox", [mailbox()], [mailbox(localPart="a")], before=mailbox()),
    Case(
        "metadata.name is longer than 64",
        "Mailbox",
        [mailbox()],
        [],
        name="a" * 64,
        bad_names=["a" * 65],
    ),
    Case("metadata.name is longer than 64", "Mailbox", [mailbox(localPart="a")], [], name="a" * 65),
    Case(
        "INBOX is written in capitals",
        "Mailbox",
        [mailbox(retention=[{"folder": "INBOX", "days": 365}, {"folder": "Inbox/Lists", "days": 1}])],
        [mailbox(retention=[{"folder": "Inbox", "days": 365}])],
    ),
]
