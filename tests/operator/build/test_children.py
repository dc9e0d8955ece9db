"""All children together: which there are, whose they are, and that they are plain JSON that never changes by itself."""

import json

import pytest
from tests.operator.build.domains import INPUTS, domain, kinds, with_apis

from mailoperator.build.children import CHILD_KINDS, build_children
from mailoperator.build.inputs import CERTIFICATES, POD_MONITORS

_ALWAYS = {"ServiceAccount", "ConfigMap", "Service", "Deployment", "PodDisruptionBudget"}
_EVERYTHING = {
    "autoscaling": {"maxReplicas": 5},
    "networkPolicy": "Enabled",
    "monitoring": {"podMonitor": "Enabled"},
}
_ISSUER = {"issuerRef": {"name": "le", "kind": "ClusterIssuer"}}


def test_without_a_server_the_installations_defaults_are_built() -> None:
    assert kinds(domain()) == _ALWAYS


def test_a_single_pod_has_no_disruption_budget() -> None:
    assert kinds(domain({"replicas": 1})) == _ALWAYS - {"PodDisruptionBudget"}


def test_everything_switched_on() -> None:
    found = build_children(domain(_EVERYTHING, tls=_ISSUER), with_apis(POD_MONITORS, CERTIFICATES))

    assert {(one["apiVersion"], one["kind"]) for one in found} == set(CHILD_KINDS)


def test_what_the_cluster_does_not_know_is_left_out() -> None:
    assert not {"PodMonitor", "Certificate"} & kinds(domain(_EVERYTHING, tls=_ISSUER))


def test_a_domain_that_another_serves_has_a_certificate_alone() -> None:
    served = domain(servedByRef={"name": "host"}, tls=_ISSUER)

    assert kinds(served, with_apis(CERTIFICATES)) == {"Certificate"}
    assert kinds(domain(servedByRef={"name": "host"})) == set()


def test_children_are_owned_and_in_the_domains_namespace() -> None:
    for one in build_children(domain(_EVERYTHING), INPUTS):
        metadata = one["metadata"]
        [owner] = metadata["ownerReferences"]
        assert metadata["namespace"] == "mail"
        assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == (
            "MailDomain",
            "example",
            "u-1",
            True,
        )


def test_no_two_children_are_called_the_same() -> None:
    found = build_children(domain(_EVERYTHING, tls=_ISSUER), with_apis(POD_MONITORS, CERTIFICATES))
    named = [(one["kind"], one["metadata"]["name"]) for one in found]

    assert len(set(named)) == len(named)


def test_the_same_twice_is_the_same() -> None:
    first, second = (json.dumps(build_children(domain(_EVERYTHING), INPUTS)) for _ in range(2))

    assert first == second


@pytest.mark.parametrize("name", ["9lives", "a.dotted.name", "n" * 200])
def test_a_name_that_is_no_label_becomes_one(name: str) -> None:
    for one in build_children(domain(name=name), INPUTS):
        written = one["metadata"]["name"]
        assert len(written) <= 63 and "." not in written and written[0].isalpha()
        assert all(len(value) <= 63 for value in one["metadata"]["labels"].values())
