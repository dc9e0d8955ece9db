"""What a real API server says of the chart and of what the operator builds: schemas, Pod Security, who may do what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.apiserver.conftest import need_apiserver
from tests.apiserver.harness import ApiServer
from tests.charts.rendered import CHART, flags, helm, render
from tests.operator.build.domains import INPUTS, domain

from mailoperator.build.children import build_children
from mailoperator.build.podtemplate import build_pod_template

pytestmark = pytest.mark.cluster

_OPERATOR = "system:serviceaccount:chart-system:mail-mailpod-operator"
_RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The chart, installed by helm with all that the API server knows, in a namespace that asks `restricted`.

    On a server of its own: helm refuses definitions that other tests applied without it.
    """
    need_apiserver()
    with ApiServer(tmp_path_factory.mktemp("chart") / "api") as server:
        where = ("--kubeconfig", str(server.kubeconfig), "--namespace", "chart-system")
        server.kubectl("create", "namespace", "chart-system")
        server.kubectl("label", "namespace", "chart-system", _RESTRICTED)
        helm("install", "mail", CHART, *where, *flags("trialS3.enabled=true", "crds.keep=false"))
        yield server
        helm("uninstall", "mail", *where)


def _written(name: str = "one", **spec: Any) -> str:
    return json.dumps(
        {
            "apiVersion": "mailpod.dev/v1alpha1",
            "kind": "MailDomain",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"domainName": f"{name}.example.com", **spec},
        }
    )


def test_helm_upgrades_with_the_same_credentials(release: ApiServer) -> None:
    def credentials() -> str:
        return str(release.kubectl("get", "secret", "mail-s3", "-n", "chart-system", "-o", "jsonpath={.data}"))

    before = credentials()
    where = ("--kubeconfig", str(release.kubeconfig), "--namespace", "chart-system")
    helm("upgrade", "mail", CHART, *where, *flags("trialS3.enabled=true", "crds.keep=false", "graceSeconds=60"))

    assert credentials() == before


def test_the_charts_pods_are_admitted_as_restricted(release: ApiServer) -> None:
    pods = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"p{number}"}, "spec": spec}
        for number, spec in enumerate(
            [
                each["spec"]["template"]["spec"]
                for each in render("trialS3.enabled=true")
                if each["kind"] == "Deployment"
            ]
        )
    ]

    assert len(pods) == 2
    for pod in pods:
        release.kubectl("create", "--dry-run=server", "-n", "chart-system", "-f", "-", stdin=json.dumps(pod))


def test_mail_pods_are_admitted_as_restricted(release: ApiServer) -> None:
    spec = {**build_pod_template(domain(), INPUTS)["spec"], "serviceAccountName": "default"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mail"}, "spec": spec}

    release.kubectl("create", "--dry-run=server", "-n", "chart-system", "-f", "-", stdin=json.dumps(pod))


_SERVERS: list[dict[str, Any]] = [
    {},
    {"replicas": 1, "service": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["192.0.2.0/24"]}},
    {"autoscaling": {"maxReplicas": 4}, "networkPolicy": "Enabled", "service": {"type": "NodePort"}},
    {
        "podTemplate": {
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}],
            "tolerations": [{"operator": "Exists"}],
            "resources": {"limits": {"memory": "512Mi"}},
        }
    },
]


@pytest.mark.parametrize("server", _SERVERS)
def test_children_are_applied_by_the_operators_rights(release: ApiServer, server: dict[str, Any]) -> None:
    """--validate=strict: a field that the API server does not know is an error."""
    for child in build_children(domain(server), INPUTS):
        child["metadata"]["namespace"] = "default"
        child["metadata"].pop("ownerReferences")
        release.kubectl(
            *("apply", "--server-side", "--dry-run=server", "--validate=strict", "--as", _OPERATOR, "-f", "-"),
            stdin=json.dumps(child),
        )


@pytest.mark.parametrize(
    ("verb", "resource", "namespace"),
    [
        ("create", "pods", "default"),
        ("update", "maildomains.mailpod.dev", "default"),
        ("delete", "mailboxes.mailpod.dev", "default"),
        ("create", "roles.rbac.authorization.k8s.io", "default"),
        ("delete", "namespaces", ""),
        ("serve", "maildomains.mailpod.dev", "default"),
        ("delete", "secrets", "default"),
        ("list", "endpointslices.discovery.k8s.io", "default"),
        ("list", "leases.coordination.k8s.io", "default"),
        ("get", "leases.coordination.k8s.io/another", "chart-system"),
    ],
)
def test_what_the_operator_may_not(release: ApiServer, verb: str, resource: str, namespace: str) -> None:
    with pytest.raises(AssertionError):
        release.kubectl("auth", "can-i", verb, resource, "-n", namespace or "default", "--as", _OPERATOR)


@pytest.mark.parametrize(
    ("verb", "resource", "namespace"),
    [
        ("patch", "maildomains.mailpod.dev", "default"),
        ("patch", "mailboxes.mailpod.dev/status", "default"),
        ("update", "maildomains.mailpod.dev/finalizers", "default"),
        ("update", "secrets", "default"),
        ("create", "events.events.k8s.io", "default"),
        ("create", "leases.coordination.k8s.io", "chart-system"),
        ("update", "leases.coordination.k8s.io/mail-mailpod-operator", "chart-system"),
        ("get", "secrets/mail-mailpod-operator-signing-key", "chart-system"),
        ("get", "namespaces/kube-system", "default"),
    ],
)
def test_what_the_operator_may(release: ApiServer, verb: str, resource: str, namespace: str) -> None:
    kind, _, rest = resource.partition("/")
    target = [kind, "--subresource", rest] if rest in ("status", "finalizers") else [resource]

    release.kubectl("auth", "can-i", verb, *target, "-n", namespace, "--as", _OPERATOR)


def test_the_operator_watches_its_own_lease_and_no_other(release: ApiServer) -> None:
    """In all namespaces, as its heartbeat does: by the name in the field selector."""
    own = "--field-selector=metadata.name=mail-mailpod-operator"
    release.kubectl("get", "leases", "-A", own, "--as", _OPERATOR)
    release.kubectl("get", "leases", "-n", "chart-system", own, "--as", _OPERATOR)
    with pytest.raises(AssertionError, match="forbidden"):
        release.kubectl("get", "leases", "-A", "--field-selector=metadata.name=another", "--as", _OPERATOR)


@pytest.fixture(scope="module")
def tenant(release: ApiServer) -> list[str]:
    """Who may edit MailDomains, by the aggregated role `edit`, and has no right to servers."""
    release.kubectl("create", "rolebinding", "tenant", "-n", "default", "--clusterrole=edit", "--user=tenant")
    release.kubectl("apply", "-f", "-", stdin=_written("host", server={"replicas": 1}))
    return ["--as", "tenant"]


@pytest.mark.parametrize("spec", [{"server": {"replicas": 1}}, {}])
def test_a_server_asks_the_right_to_serve(release: ApiServer, tenant: list[str], spec: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="asks the right to the verb serve on maildomains, which tenant does not"):
        release.kubectl("create", "--dry-run=server", "-f", "-", *tenant, stdin=_written(**spec))


def test_to_be_served_asks_no_such_right(release: ApiServer, tenant: list[str]) -> None:
    release.kubectl("create", "--dry-run=server", "-f", "-", *tenant, stdin=_written(servedByRef={"name": "host"}))


def test_a_tenant_changes_the_domain_but_not_its_server(release: ApiServer, tenant: list[str]) -> None:
    patch = ("patch", "maildomain", "host", "-n", "default", "--type=merge", "--dry-run=server", *tenant, "-p")

    release.kubectl(*patch, '{"spec": {"aliasDomains": ["example.org"]}}')
    for spec in ({"server": {"replicas": 9}}, {"server": {"image": "evil:1"}}, {"server": None}):
        with pytest.raises(AssertionError, match="verb serve"):
            release.kubectl(*patch, json.dumps({"spec": spec}))


def test_who_is_given_the_right_has_it(release: ApiServer, tenant: list[str]) -> None:
    role = "mail-mailpod-operator.chart-system-serve"
    for name in ("edit", role):
        release.kubectl("create", "rolebinding", name[-5:], "-n", "default", f"--clusterrole={name}", "--user=admin2")

    release.kubectl(
        *("create", "--dry-run=server", "-f", "-", "--as", "admin2"), stdin=_written(server={"replicas": 1})
    )
