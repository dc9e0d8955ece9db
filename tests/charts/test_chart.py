"""What the chart renders: settings that the operator accepts, restricted pods, narrow roles, nothing unasked."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from tests.charts.rendered import CHART, Object, flags, helm, kinds, one, render, settings_of

from mailoperator.build.inputs import POD_MONITORS
from mailoperator.dkim import DkimSchedule
from mailoperator.model import Mailbox, MailDomain

pytestmark = pytest.mark.cluster  # helm is built with Go

_OPERATOR = "mail-mailpod-operator"
_TRIAL = "trialS3.enabled=true"
_CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "ValidatingAdmissionPolicy"}
_ALL_ON = (
    _TRIAL,
    "trialS3.persistence.enabled=true",
    "monitoring.podMonitor.enabled=true",
    "monitoring.prometheusRule.enabled=true",
    "monitoring.dashboards.enabled=true",
)


def _pods(objects: list[Object]) -> list[Any]:
    templates = [each["spec"]["template"]["spec"] for each in objects if each["kind"] == "Deployment"]
    return templates + [each["spec"] for each in objects if each["kind"] == "Pod"]


def test_lint() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART).stdout


def test_by_default_there_is_an_operator_and_no_more() -> None:
    found = [each for each in render() if "helm.sh/hook" not in each["metadata"].get("annotations", {})]

    assert [each["metadata"]["name"] for each in found if each["kind"] == "Deployment"] == [_OPERATOR]
    assert not kinds(found) & {"PodMonitor", "PrometheusRule", "Secret", "PersistentVolumeClaim", "Service"}


def test_the_operator_accepts_its_settings() -> None:
    settings = settings_of(
        render(
            'watchNamespaces=["one","two"]',
            'defaultStorage={"bucket":"mail","endpoint":"https://s3.test","credentialsSecretRef":{"name":"s"}}',
            "graceSeconds=60",
            'operator.dns={"checks":false,"resolver":"10.0.0.1:53"}',
            'images.pod="registry.test/mailpod:9"',
            'dkim={"rotateDays":null,"leadDays":0.5}',
        )
    )

    assert settings.watch_namespaces == ["one", "two"]
    assert settings.pod_image == "registry.test/mailpod:9"
    assert settings.default_storage is not None and settings.default_storage["bucket"] == "mail"
    assert (settings.grace_seconds, settings.dns_checks, settings.resolver) == (60, False, "10.0.0.1:53")
    assert settings.namespace == "system"
    assert (settings.dkim.rotate_days, settings.dkim.lead_days, settings.dkim.keep_days) == (None, 0.5, 14)
    assert settings_of(render()).dkim == DkimSchedule()


def test_the_trial_s3_becomes_the_default_storage() -> None:
    objects = render(_TRIAL)
    settings = settings_of(objects)
    storage = settings.default_storage or {}
    secret = one(objects, "Secret", "mail-s3")
    identity = json.loads(secret["stringData"]["s3.json"])["identities"][0]["credentials"][0]

    assert settings.trial
    assert storage["endpoint"] == "http://mail-s3.system.svc:8333"
    assert settings.allow_http_hosts == ["mail-s3.system.svc"]
    assert storage["credentialsSecretRef"]["name"] == secret["metadata"]["name"]
    assert secret["metadata"]["labels"]["mailpod.dev/use"] == "s3"
    assert identity["secretKey"] == secret["stringData"]["secretAccessKey"]


@pytest.mark.parametrize("kept", [True, False])
def test_the_trial_s3s_claim_is_left_with_its_keys(kept: bool) -> None:
    objects = render(_TRIAL, f"trialS3.persistence.enabled={json.dumps(kept)}")
    left = {
        each["kind"]
        for each in objects
        if (each["metadata"].get("annotations") or {}).get("helm.sh/resource-policy") == "keep"
    }
    assert left - {"CustomResourceDefinition"} == ({"PersistentVolumeClaim", "Secret"} if kept else set())


def test_a_storage_of_ones_own_goes_before_the_trials() -> None:
    settings = settings_of(render(_TRIAL, 'defaultStorage={"bucket":"mine"}'))

    assert settings.default_storage == {"bucket": "mine"}
    assert not settings.trial


def test_all_pods_are_restricted_and_read_only() -> None:
    pods = _pods(render(*_ALL_ON))

    assert len(pods) == 3
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


def test_one_operator_at_a_time() -> None:
    assert one(render(), "Deployment", _OPERATOR)["spec"]["strategy"] == {"type": "Recreate"}


def test_a_change_of_settings_starts_the_operator_again() -> None:
    def annotations(*settings: str) -> object:
        return one(render(*settings), "Deployment", _OPERATOR)["spec"]["template"]["metadata"]["annotations"]

    assert annotations() == annotations()
    assert annotations() != annotations("graceSeconds=61")


def test_no_role_has_a_wildcard_or_more_than_it_needs() -> None:
    rules = [rule for each in render(*_ALL_ON) if each["kind"] in ("Role", "ClusterRole") for rule in each["rules"]]

    assert not any("*" in values for rule in rules for values in rule.values())
    verbs = {verb for rule in rules for verb in rule["verbs"]}
    assert not verbs & {"escalate", "bind", "impersonate"}
    reached = {resource for rule in rules for resource in rule["resources"]}
    assert not reached & {"pods/exec", "nodes", "roles", "clusterroles", "serviceaccounts/token"}


def test_an_install_for_some_namespaces_needs_nothing_cluster_wide() -> None:
    objects = render(
        'watchNamespaces=["one","two"]', "crds.enabled=false", "rbac.aggregate=false", "admissionPolicy.enabled=false"
    )

    assert not kinds(objects) & {*_CLUSTER_WIDE, "ValidatingAdmissionPolicyBinding"}
    serves = {each["metadata"]["namespace"] for each in objects if each["metadata"]["name"] == f"{_OPERATOR}-serves"}
    assert serves == {"one", "two"}


def test_an_install_for_some_namespaces_may_read_its_own_namespaces_uid() -> None:
    rules = one(render('watchNamespaces=["one"]'), "Role", _OPERATOR)["rules"]

    assert {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["system"], "verbs": ["get"]} in rules


def test_an_install_for_all_namespaces_has_the_same_rights_in_each() -> None:
    some = one(render('watchNamespaces=["one"]'), "Role", f"{_OPERATOR}-serves")["rules"]
    everywhere = one(render(), "ClusterRole", f"{_OPERATOR}.system")["rules"]

    assert [rule for rule in everywhere if rule in some] == some


@pytest.mark.parametrize("keep", [True, False])
def test_custom_resources_stay_when_told(keep: bool) -> None:
    found = [each for each in render(f"crds.keep={json.dumps(keep)}") if each["kind"] == "CustomResourceDefinition"]

    assert {each["spec"]["names"]["kind"] for each in found} == {"MailDomain", "Mailbox"}
    for each in found:
        policy = (each["metadata"].get("annotations") or {}).get("helm.sh/resource-policy")
        assert policy == ("keep" if keep else None)


def test_helm_test_makes_what_the_operator_accepts() -> None:
    objects = render()
    domain = MailDomain.model_validate(one(objects, "MailDomain"))
    mailbox = Mailbox.model_validate(one(objects, "Mailbox"))
    secret, pod = one(objects, "Secret"), one(objects, "Pod")
    [container] = pod["spec"]["containers"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}

    assert mailbox.spec.domain_ref.name == domain.metadata.name
    assert mailbox.spec.password_secret_ref is not None
    assert mailbox.spec.password_secret_ref.name == secret["metadata"]["name"]
    assert secret["metadata"]["labels"]["mailpod.dev/use"] == "password"
    assert environment["DOMAIN"] == domain.spec.domain_name
    assert environment["HOST"] == f"{domain.metadata.name}.system.svc"
    compile(container["args"][0], "helm-test.py", "exec")


def test_monitors_scrape_ports_that_exist() -> None:
    objects = render(*_ALL_ON)
    monitor = one(objects, "PodMonitor")
    [container] = one(objects, "Deployment", _OPERATOR)["spec"]["template"]["spec"]["containers"]

    assert monitor["apiVersion"] == POD_MONITORS
    assert monitor["spec"]["podMetricsEndpoints"][0]["port"] in {port["name"] for port in container["ports"]}


def test_alerts_stand_in_their_object_as_in_their_file() -> None:
    written = (CHART / "files" / "alerts.yaml").read_text().replace("RUNBOOKS", "https://docs.test")
    rule = one(render(*_ALL_ON, 'monitoring.prometheusRule.runbooks="https://docs.test"'), "PrometheusRule")

    assert rule["spec"] == yaml.safe_load(written)


def test_dashboards_are_for_the_sidecar() -> None:
    dashboards = 'monitoring.dashboards={"enabled":true,"label":"mine","value":"yes","annotations":{"folder":"Mail"}}'
    found = [each for each in render(dashboards) if "-dashboard-" in each["metadata"]["name"]]

    assert len(found) == len(list((CHART / "dashboards").glob("*.json"))) == 5
    for each in found:
        assert each["metadata"]["labels"]["mine"] == "yes"
        assert each["metadata"]["annotations"] == {"folder": "Mail"}
        [(name, text)] = each["data"].items()
        assert json.loads(text) == json.loads((CHART / "dashboards" / name.removeprefix("mailpod-")).read_text())
    assert not [each for each in render() if "-dashboard-" in each["metadata"]["name"]]


@pytest.mark.parametrize(
    "setting",
    [
        "watchNamespaces=true",
        'watchNamespaces=["Not A Namespace"]',
        "graceSeconds=0",
        'graceSeconds="1d"',
        'images.pullPolicy="Sometimes"',
        'images.operator="no image"',
        "crds.enabeld=true",
        "unknown=1",
        'defaultStorage={"region":"x"}',
        'defaultStorage={"bucket":"mail","endpoint":"s3.test"}',
        'defaultStorage={"bucket":"mail","accessKey":"AKIA"}',
        'trialS3.persistence.size="lots"',
        "operator.workers=0",
        "dkim.rotateDays=0",
        'monitoring.dashboards.label=""',
    ],
)
def test_the_schema_refuses(setting: str) -> None:
    done = helm("template", "mail", CHART, *flags(setting), check=False)

    assert done.returncode
    assert "values don't meet the specifications of the schema" in done.stderr


def test_every_value_has_a_comment_and_the_schema_every_value() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    schema = json.loads((CHART / "values.schema.json").read_text())

    def compare(values: dict[str, Any], part: dict[str, Any]) -> None:
        assert set(values) <= set(part["properties"])
        for name, value in values.items():
            if isinstance(value, dict) and "properties" in part["properties"][name]:
                compare(value, part["properties"][name])

    compare(yaml.safe_load("\n".join(lines)), schema)
    groups = {"operator:", "crds:", "rbac:", "serviceAccount:", "admissionPolicy:", "trialS3:", "monitoring:", "test:"}
    top = [number for number, line in enumerate(lines) if line[:1].isalpha() and line not in groups]
    assert all(lines[number - 1].startswith("#") for number in top)


def test_notes_name_the_next_steps() -> None:
    notes = helm("install", "mail", CHART, "--dry-run=client", *flags(_TRIAL)).stdout.partition("NOTES:")[2]

    for step in (
        "kubectl apply -f examples/cluster/",
        "kubectl wait --for=condition=Ready",
        "helm test mail",
        "trials",
    ):
        assert step in notes
