"""The CustomResourceDefinitions on a real API server: each rule refuses and lets through what it should (rule 5).

Manifests are sent as dry runs by one client, since there are hundreds.
"""

from __future__ import annotations

import copy
import json
import ssl
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.apiserver.harness import ApiServer
from tests.operator.rules import CASES, Case, domain, mailbox, manifest, pods, server, service, storage
from tests.operator.test_model import fullest, rules_of

from mailoperator.crd import RESOURCES, Resource, build_crds
from mailoperator.crdschema import structural
from mailoperator.model import Mailbox, MailDomain

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
Raw: TypeAlias = dict[str, Any]
PLURALS = {resource.model.__name__: resource.plural for resource in RESOURCES}


class Api:
    """Objects of our API in one namespace, over one connection."""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        trust = ssl.create_default_context(cafile=str(server.plane.certificate))
        self._connection = HTTPSConnection("127.0.0.1", server.plane.port, context=trust, timeout=30)
        self._token = server.plane.token
        self._namespace = namespace

    def create(self, obj: Raw, *, dry: bool = True) -> tuple[int, Raw]:
        return self._ask("POST", obj, PLURALS[obj["kind"]], dry)

    def replace(self, obj: Raw, *, part: str = "", dry: bool = True) -> tuple[int, Raw]:
        return self._ask("PUT", obj, f"{PLURALS[obj['kind']]}/{obj['metadata']['name']}{part}", dry)

    def delete(self, obj: Raw) -> None:
        self._ask("DELETE", {}, f"{PLURALS[obj['kind']]}/{obj['metadata']['name']}", False)

    def _ask(self, method: str, body: Raw, path: str, dry: bool) -> tuple[int, Raw]:
        query = "?fieldValidation=Strict" + ("&dryRun=All" if dry and method != "DELETE" else "")
        self._connection.request(
            method,
            f"/apis/mailpod.dev/v1alpha1/namespaces/{self._namespace}/{path}{query if method != 'DELETE' else ''}",
            json.dumps(body),
            {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.fixture(scope="module")
def kubernetes(apiserver: ApiServer) -> ApiServer:
    """With our CRDs."""
    apiserver.kubectl("apply", "--server-side", "-f", ROOT / "crds")
    apiserver.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", ROOT / "crds")
    return apiserver


@pytest.fixture
def api(kubernetes: ApiServer, namespace: str) -> Iterator[Api]:
    yield Api(kubernetes, namespace)


def taken(answer: tuple[int, Raw]) -> Raw:
    status, said = answer
    assert status in (200, 201), said.get("message")
    return said


def refused(answer: tuple[int, Raw]) -> str:
    status, said = answer
    assert status == 422, f"{status}: {json.dumps(said)[:500]}"
    return str(said["message"])


def after(before: Raw, spec: Raw) -> Raw:
    """The stored object with another spec."""
    return {**before, "spec": copy.deepcopy(spec)}


def test_the_server_has_the_rules_that_the_cases_are_about(kubernetes: ApiServer) -> None:
    for crd in build_crds():
        stored = json.loads(kubernetes.kubectl("get", "crd", crd["metadata"]["name"], "-o", "json"))
        conditions = {condition["type"]: condition["status"] for condition in stored["status"]["conditions"]}
        assert conditions["Established"] == "True"
        assert "NonStructuralSchema" not in conditions
        messages = sorted(rules_of(stored))
        assert messages == sorted(rules_of(crd))
        for message in messages:
            cases = [case for case in CASES if case.message in message]
            assert any(case.good for case in cases) and any(case.bad or case.bad_names for case in cases), message


@pytest.mark.parametrize("case", [case for case in CASES if case.before is None], ids=lambda case: case.message)
def test_a_rule_about_an_object(api: Api, case: Case) -> None:
    for spec in case.good:
        taken(api.create(manifest(case.kind, case.name, spec)))
    for spec in case.bad:
        assert case.message in refused(api.create(manifest(case.kind, case.name, spec)))
    for name in case.bad_names:
        assert case.message in refused(api.create(manifest(case.kind, name, case.good[0])))


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.before is not None], ids=lambda case: f"{case.message}: {case.before}"
)
def test_a_rule_about_a_change(api: Api, case: Case) -> None:
    """By change, by unset and by set, as the cases have it."""
    assert case.before is not None
    stored = taken(api.create(manifest(case.kind, case.name, case.before), dry=False))
    for spec in case.good:
        taken(api.replace(after(stored, spec)))
    for spec in case.bad:
        assert case.message in refused(api.replace(after(stored, spec)))


def test_unset_and_set_again_is_no_way_round(api: Api) -> None:
    """The two steps of which each alone would be let through by a rule on the field itself."""
    for kind, before, without in (
        ("Mailbox", mailbox(localPart="alice"), mailbox()),
        ("MailDomain", domain(servedByRef={"name": "x"}), domain()),
        ("MailDomain", storage(), server()),
        ("MailDomain", storage(), domain()),
        ("MailDomain", storage(prefix="a"), storage()),
    ):
        stored = taken(api.create(manifest(kind, "a", before), dry=False))
        refused(api.replace(after(stored, without)))
        api.delete(stored)


# -- what is not a rule but a type


@pytest.mark.parametrize(
    ("kind", "spec", "problem"),
    [
        ("MailDomain", {}, "spec.domainName: Required value"),
        ("MailDomain", domain(domainName="a b"), "spec.domainName"),
        ("MailDomain", domain(domainName="-a.example"), "spec.domainName"),
        ("MailDomain", domain(domainName="a@b.example"), "spec.domainName"),
        ("MailDomain", domain(domainName="example.com."), "spec.domainName"),
        ("MailDomain", domain(aliasDomains=["a.example", "a.example"]), "Duplicate value"),
        ("MailDomain", domain(aliasDomains=[f"{n}.example" for n in range(51)]), "Too many: 51"),
        ("MailDomain", domain(allowedReservedLocalParts=["root"]), "Unsupported value"),
        ("MailDomain", domain(maxMessageSize="0"), "spec.maxMessageSize"),
        ("MailDomain", domain(maxMessageSize="0.0Gi"), "spec.maxMessageSize"),
        ("MailDomain", domain(maxMessageSize=0), "spec.maxMessageSize"),
        ("MailDomain", domain(maxMessageSize="50MB"), "spec.maxMessageSize"),
        ("MailDomain", domain(mailboxDefaults={"protocols": ["imap"]}), "Unsupported value"),
        ("MailDomain", server(replicas=0), "spec.server.replicas"),
        ("MailDomain", server(replicas="3"), "must be of type integer"),
        ("MailDomain", storage(bucket="My_Bucket"), "spec.server.storage.bucket"),
        ("MailDomain", storage(prefix=".mailpod/claims"), "spec.server.storage.prefix"),
        ("MailDomain", storage(prefix="a/../b"), "spec.server.storage.prefix"),
        ("MailDomain", storage(endpoint="https://user@s3.example.com"), "spec.server.storage.endpoint"),
        ("MailDomain", storage(deletionPolicy="Delete"), "Unsupported value"),
        ("MailDomain", service(type="ExternalName"), "Unsupported value"),
        ("MailDomain", pods(resources={"limits": {"memory": "512 MB"}}), "spec.server.podTemplate.resources.limits"),
        ("Mailbox", {}, "spec.domainRef: Required value"),
        ("Mailbox", mailbox(localPart=""), "spec.localPart"),
        ("Mailbox", mailbox(localPart="a b"), "spec.localPart"),
        ("Mailbox", mailbox(aliases=["c@example.com"]), "spec.aliases[0]"),
        ("Mailbox", mailbox(aliases=["c", "c"]), "Duplicate value"),
        ("Mailbox", mailbox(quota={"storage": "5XB"}), "spec.quota.storage"),
        ("Mailbox", mailbox(quota={"messages": 0}), "spec.quota.messages"),
        ("Mailbox", mailbox(retention=[{"folder": "Trash", "days": 0}]), "spec.retention[0].days"),
        ("Mailbox", mailbox(retention=[{"folder": "Trash/", "days": 1}]), "spec.retention[0].folder"),
        ("Mailbox", mailbox(retention=[{"folder": "Junk", "days": day} for day in (1, 2)]), "Duplicate value"),
        ("Mailbox", mailbox(deletionPolicy="Keep"), "Unsupported value"),
        ("Mailbox", mailbox(passwordSecretRef={"name": "A_B"}), "spec.passwordSecretRef.name"),
    ],
)
def test_a_bad_value_is_refused_with_its_field(api: Api, kind: str, spec: Raw, problem: str) -> None:
    assert problem in refused(api.create(manifest(kind, "a", spec)))


def test_a_misspelt_field_is_refused(api: Api) -> None:
    status, said = api.create(manifest("Mailbox", "a", mailbox(quotas={})))
    assert status == 400 and 'unknown field "spec.quotas"' in said["message"]


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("MailDomain", domain(domainName="BÜCHER.example")),
        ("MailDomain", domain(domainName="xn--bcher-kva.example", maxMessageSize="1.5Mi")),
        ("MailDomain", storage(prefix="team-a/Mail_1.x", endpoint="http://weed.mail.svc:8333")),
        ("Mailbox", mailbox(localPart="Jürgen.Müller", quota={"storage": 1024, "messages": 5})),
        ("Mailbox", mailbox(localPart='"a b"', aliases=['"x@y"', "sales+eu", "o'neill"])),
    ],
)
def test_what_people_write_is_taken_by_server_and_model_alike(api: Api, kind: str, spec: Raw) -> None:
    stored = taken(api.create(manifest(kind, "a", spec)))
    (model,) = [each for each in (MailDomain, Mailbox) if each.__name__ == kind]
    assert model.model_validate(stored).spec == model.model_validate(manifest(kind, "a", spec)).spec


def test_pods_can_be_placed(api: Api) -> None:
    selector = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "x/y", "operator": "In", "values": ["z"]}]}
    term = {"labelSelector": selector, "topologyKey": "topology.kubernetes.io/zone", "namespaces": ["other"]}
    node = {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}
    wanted = {
        "resources": {"requests": {"cpu": 1, "memory": "512Mi"}, "limits": {"example.com/gpu": "1"}},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [node]},
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": node}],
            },
            "podAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}]
            },
            "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]},
        },
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
        ],
        "priorityClassName": "high",
        "imagePullSecrets": [{"name": "pull"}],
    }
    stored = taken(api.create(manifest("MailDomain", "a", pods(**wanted))))
    assert stored["spec"]["server"]["podTemplate"] == wanted
    assert MailDomain.model_validate(stored).spec.server is not None


def test_defaults(api: Api) -> None:
    spec = taken(api.create(manifest("MailDomain", "a", server(autoscaling={"maxReplicas": 4}))))["spec"]
    assert spec["maxMessageSize"] == "50Mi"
    assert spec["server"]["autoscaling"] == {
        "minReplicas": 2,
        "maxReplicas": 4,
        "targetCPUUtilizationPercentage": 70,
    }
    assert taken(api.create(manifest("Mailbox", "a", mailbox())))["spec"] == mailbox(deletionPolicy="Retain")


# -- status


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.plural)
def test_a_status_at_its_bounds_is_taken_and_small(api: Api, resource: Resource) -> None:
    spec = domain() if resource.model is MailDomain else mailbox()
    stored = taken(api.create(manifest(resource.model.__name__, "a", spec), dry=False))
    status = fullest(structural(resource.status, defaults=False))
    for number, condition in enumerate(status["conditions"]):
        condition["type"] = f"T{number}".ljust(64, "x")
    taken_status = taken(api.replace({**stored, "status": status}, part="/status"))["status"]
    assert len(json.dumps(taken_status, ensure_ascii=False, separators=(",", ":")).encode()) < 32 * 1024
    status["conditions"].append({**status["conditions"][0], "type": "OneMore"})
    assert "Too many: 11" in refused(api.replace({**stored, "status": status}, part="/status"))


def test_status_and_spec_are_written_apart(api: Api) -> None:
    obj = {**manifest("MailDomain", "a", server(replicas=1)), "status": {"hostname": "x"}}
    stored = taken(api.create(obj, dry=False))
    assert "status" not in stored
    changed = {**after(stored, server(replicas=2)), "status": {"hostname": "mail.example.com"}}
    told = taken(api.replace(changed, part="/status", dry=False))
    assert (told["spec"]["server"]["replicas"], told["status"]) == (1, {"hostname": "mail.example.com"})
    assert told["metadata"]["generation"] == stored["metadata"]["generation"]


# -- as people see it


def status(kind: str, name: str, **fields: Any) -> Raw:
    ready = {
        "type": "Ready",
        "status": "False",
        "reason": "StorageMissing",
        "message": "no storage",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    return {**manifest(kind, name, {}), "status": {"conditions": [ready], **fields}}


def tell(server: ApiServer, namespace: str, told: Raw) -> None:
    patch = json.dumps({"status": told["status"]})
    where = f"{told['kind']}/{told['metadata']['name']}"
    server.kubectl("patch", "-n", namespace, where, "--subresource=status", "--type=merge", "-p", patch)


def test_the_examples_and_what_kubectl_shows_of_them(kubernetes: ApiServer, namespace: str) -> None:
    def kubectl(*arguments: str | Path) -> str:
        return kubernetes.kubectl("-n", namespace, *arguments)

    kubectl("apply", "-f", ROOT / "examples" / "cluster")
    tell(
        kubernetes,
        namespace,
        status("MailDomain", "example", hostname="mail.mailpod.test", mailboxes=2, replicas=3, usage={"bytes": 1234}),
    )
    used = {"usage": {"bytes": "1.2Gi", "messages": 5}, "quota": "5Gi", "passwordSecretName": "alice-password"}
    tell(kubernetes, namespace, status("Mailbox", "alice", address="alice@mailpod.test", **used))

    domain, boxes = kubectl("get", "md"), kubectl("get", "mbx")
    assert columns(domain, "example") == {
        "NAME": "example",
        "DOMAIN": "mailpod.test",
        "READY": "False",
        "HOSTNAME": "mail.mailpod.test",
        "MAILBOXES": "2",
        "USED": "1234",
    }
    assert columns(boxes, "alice") == {
        "NAME": "alice",
        "ADDRESS": "alice@mailpod.test",
        "READY": "False",
        "USED": "1.2Gi",
        "QUOTA": "5Gi",
    }
    wide = kubectl("get", "mail", "-o", "wide")
    assert "mailbox.mailpod.dev/alice" in wide and "maildomain.mailpod.dev/example" in wide
    assert "no storage" in wide and "alice-password" in wide
    assert "StorageMissing" in kubectl("describe", "md", "example")


def columns(table: str, name: str) -> dict[str, str]:
    """A line of what kubectl prints, by heading; without the age."""
    head, *lines = table.splitlines()
    (line,) = [line for line in lines if line.startswith(f"{name} ")]
    found = dict(zip(head.split(), line.split(), strict=False))
    found.pop("AGE", None)
    return found


def test_scale(kubernetes: ApiServer, namespace: str) -> None:
    def kubectl(*arguments: str) -> str:
        return kubernetes.kubectl("-n", namespace, *arguments)

    def replicas() -> str:
        return kubectl("get", "md", "a", "-o", "jsonpath={.spec.server.replicas}")

    kubernetes.apply(manifest("MailDomain", "a", server(replicas=3)), "-n", namespace)
    kubectl("scale", "maildomain/a", "--replicas=5")
    assert replicas() == "5"
    tell(kubernetes, namespace, status("MailDomain", "a", replicas=4, selector="mailpod.dev/domain=a"))
    scale = json.loads(kubectl("get", "md", "a", "--subresource=scale", "-o", "json"))
    assert scale["kind"] == "Scale" and scale["spec"] == {"replicas": 5}
    assert scale["status"] == {"replicas": 4, "selector": "mailpod.dev/domain=a"}
    refusal = kubernetes.try_kubectl("-n", namespace, "scale", "maildomain/a", "--replicas=101")
    assert refusal.returncode and "less than or equal to 100" in refusal.stderr
    assert replicas() == "5"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("maildomain", "who serves it"),
        ("maildomain.spec.server.storage", "The bucket's name."),
        ("md.spec.tls", "<Object>"),
        ("mbx.spec.deletionPolicy", "Retain keeps it"),
        ("mailbox.status.conditions", "Why, for people"),
    ],
)
def test_explain(kubernetes: ApiServer, path: str, expected: str) -> None:
    said = " ".join(kubernetes.kubectl("explain", path).split())
    assert expected in said and "<empty>" not in said


def test_the_crds_can_be_applied_again_over_objects(kubernetes: ApiServer, namespace: str) -> None:
    kubernetes.apply(manifest("Mailbox", "a", mailbox()), "-n", namespace)
    again = kubernetes.kubectl("apply", "--server-side", "-f", ROOT / "crds")
    assert again.count("serverside-applied") == 2
    assert kubernetes.kubectl("get", "-n", namespace, "mbx", "a", "-o", "name").strip() == "mailbox.mailpod.dev/a"
