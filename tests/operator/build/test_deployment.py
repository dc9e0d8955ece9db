"""The Deployment and its pods: Pod Security, probes, the end, mounts, overrides."""

from dataclasses import replace
from typing import Any

import pytest
from tests.operator.build.domains import BUCKET, INPUTS, child, domain

from mailoperator.build import names
from mailoperator.build.podsettings import CLOSE_SECONDS, DRAIN_SECONDS


def _pod(server: dict[str, Any] | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = child("Deployment", domain(server))["spec"]["template"]["spec"]
    return spec


def _container(server: dict[str, Any] | None = None) -> dict[str, Any]:
    [container] = _pod(server)["containers"]
    return dict(container)


def test_replicas_are_two_by_default_as_written_or_left_to_the_autoscaler() -> None:
    assert child("Deployment", domain())["spec"]["replicas"] == 2
    assert child("Deployment", domain({"replicas": 5}))["spec"]["replicas"] == 5
    assert "replicas" not in child("Deployment", domain({"autoscaling": {"maxReplicas": 9}}))["spec"]


def test_the_selector_is_the_same_whatever_changes() -> None:
    written = {
        "image": "other:2",
        "replicas": 7,
        "podTemplate": {"labels": {"team": "mail"}, "annotations": {"a": "b"}},
    }
    plain, changed = child("Deployment", domain()), child("Deployment", domain(written))

    assert plain["spec"]["selector"] == changed["spec"]["selector"]
    assert (
        changed["spec"]["selector"]["matchLabels"].items() <= changed["spec"]["template"]["metadata"]["labels"].items()
    )
    assert changed["spec"]["template"]["metadata"]["labels"]["team"] == "mail"


def test_pods_are_restricted() -> None:
    """Pod Security Standards, level restricted, and a root that is read-only besides."""
    pod, container = _pod(), _container()

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert {next(iter(volume.keys() - {"name"})) for volume in pod["volumes"]} == {"configMap", "secret"}


def test_pods_have_no_token_of_the_api_server() -> None:
    assert _pod()["automountServiceAccountToken"] is False
    assert child("ServiceAccount", domain())["automountServiceAccountToken"] is False


def test_the_end_is_longer_than_the_drain() -> None:
    before = _container()["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert _pod()["terminationGracePeriodSeconds"] > before + DRAIN_SECONDS + CLOSE_SECONDS


def test_probes() -> None:
    container = _container()
    paths = {probe: container[probe]["httpGet"]["path"] for probe in container if probe.endswith("Probe")}

    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}


def test_sixteen_optional_key_secrets_as_whole_folders() -> None:
    pod = _pod()
    keys = [volume["secret"] for volume in pod["volumes"] if volume["name"].startswith("keys-")]
    mounts = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}

    assert [secret["secretName"] for secret in keys] == [f"example-keys-{number:02d}" for number in range(16)]
    assert all(secret["optional"] for secret in keys)
    assert mounts["keys-07"]["mountPath"] == "/etc/mailpod/keys/07"
    assert not any("subPath" in mount for mount in mounts.values())


def test_bucket_credentials_are_a_mounted_file_and_nowhere_else() -> None:
    pod = _pod()
    [volume] = [volume for volume in pod["volumes"] if volume["name"] == "bucket"]

    assert volume["secret"]["secretName"] == "example-bucket"
    assert not volume["secret"].get("optional")
    assert [entry["name"] for entry in pod["containers"][0]["env"]] == ["POD_NAME", "MAILPOD_CONFIG_SHA256"]


def test_workload_identity_mounts_no_credentials_and_annotates_the_account() -> None:
    identity = {"serviceAccountAnnotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/mail"}}
    of = domain({"storage": {"bucket": "mail", "workloadIdentity": identity}})
    inputs = replace(INPUTS, bucket=replace(BUCKET, credentials_secret=None))

    account, pod = child("ServiceAccount", of, inputs), child("Deployment", of, inputs)["spec"]["template"]["spec"]
    assert account["metadata"]["annotations"] == identity["serviceAccountAnnotations"]
    assert "bucket" not in {volume["name"] for volume in pod["volumes"]}


def test_overrides() -> None:
    template = {
        "resources": {"requests": {"cpu": "2"}, "limits": {"memory": "4Gi"}},
        "nodeSelector": {"disk": "none"},
        "tolerations": [{"key": "mail", "operator": "Exists"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "arch", "operator": "In", "values": ["x"]}]}]
                }
            }
        },
        "priorityClassName": "high",
        "imagePullSecrets": [{"name": "pull"}],
        "annotations": {"sidecar.istio.io/inject": "false"},
    }
    made = child("Deployment", domain({"podTemplate": template}))["spec"]["template"]

    for name in ("nodeSelector", "tolerations", "affinity", "priorityClassName", "imagePullSecrets"):
        assert made["spec"][name] == template[name]
    assert made["spec"]["containers"][0]["resources"] == template["resources"]
    assert made["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"


@pytest.mark.parametrize("name", ["securityContext", "volumes", "serviceAccountName", "containers", "hostNetwork"])
def test_nothing_else_can_be_overridden(name: str) -> None:
    with pytest.raises(ValueError, match="Extra inputs"):
        domain({"podTemplate": {name: {}}})


def test_pods_are_spread_by_default_and_count_their_own_when_told_how() -> None:
    own = {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
    selector = {"matchLabels": names.selector(domain())}

    default = _pod()["topologySpreadConstraints"]
    assert {each["whenUnsatisfiable"] for each in default} == {"ScheduleAnyway"}
    assert all(each["labelSelector"] == selector for each in default)
    told = _pod({"podTemplate": {"topologySpreadConstraints": [own]}})["topologySpreadConstraints"]
    assert told == [{**own, "labelSelector": selector}]
