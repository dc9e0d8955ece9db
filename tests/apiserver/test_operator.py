"""`mail-operator run` against a real API server and a real bucket. No node: pods never become available here."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.apiserver.harness import ApiServer
from tests.apiserver.operatorrun import OperatorRun, domain, mailbox
from tests.fixtures_seaweed import Seaweed

pytestmark = pytest.mark.cluster

CRDS = Path(__file__).parents[2] / "crds"


@pytest.fixture
def operator(apiserver: ApiServer, seaweed: Seaweed, namespace: str, tmp_path: Path) -> Iterator[OperatorRun]:
    apiserver.kubectl("apply", "--server-side", "-f", CRDS)
    with OperatorRun(apiserver, seaweed, namespace, tmp_path) as run:
        yield run


def test_a_maildomain_and_mailboxes_from_nothing(operator: OperatorRun) -> None:
    """Children, password, key Secrets, statuses; then quiet; then a restart that writes nothing."""
    operator.apply(domain("one", "one.test", server={"replicas": 2}), mailbox("alice", "one"), mailbox("bob", "one"))
    operator.wait_ready("alice", "bob")
    kinds = {obj["kind"] for kind in ("deploy", "svc", "cm", "pdb", "sa") for obj in operator.listed(kind)}
    assert kinds >= {"Deployment", "Service", "ConfigMap", "PodDisruptionBudget", "ServiceAccount"}
    status = operator.get("maildomain", "one")["status"]
    found = {line["type"]: line["status"] for line in status["conditions"]}
    assert found["StorageReady"] == found["CertificateReady"] == "True", status
    assert found["Available"] == found["Ready"] == "False", "no node runs pods here"
    assert status["storage"]["bucket"] == operator.bucket.bucket
    assert status["mailboxes"] == 2
    assert operator.get("secret", operator.get("mailbox", "alice")["status"]["passwordSecretName"])["data"]["password"]
    assert not operator.get("mailbox", "alice")["metadata"].get("finalizers")
    assert not [name for name in operator.get("mailbox", "alice")["metadata"].get("annotations", {}) if "kopf" in name]

    operator.quiet()
    before = len(operator.server.writes())
    operator.stop()
    operator.start()
    time.sleep(4)
    operator.quiet()
    assert [_short(line) for line in operator.writes(before)] == []


def test_deletion_with_a_purge(operator: OperatorRun) -> None:
    operator.apply(domain("one", "one.test"), mailbox("carol", "one", deletionPolicy="Delete"))
    operator.wait_ready("carol")
    assert operator.get("mailbox", "carol")["metadata"]["finalizers"] == ["mailpod.dev/purge"]
    operator.server.kubectl("delete", "mailbox", "carol", "-n", operator.namespace, "--timeout=15s")


def test_a_host_stays_while_it_serves_others(operator: OperatorRun) -> None:
    operator.apply(domain("host", "host.test"), domain("guest", "guest.test", servedByRef={"name": "host"}))
    operator.apply(mailbox("dave", "guest"))
    operator.wait_ready("dave")
    operator.wait("count", lambda: operator.get("maildomain", "host")["status"].get("servedDomains") == 2)
    assert len(operator.listed("deploy")) == 1
    assert operator.get("deploy", "host")["metadata"]["generation"] == 1, "a guest changes no pod"
    operator.server.kubectl("delete", "maildomain", "host", "-n", operator.namespace, "--wait=false")
    time.sleep(2)
    assert operator.get("maildomain", "host")["metadata"]["deletionTimestamp"]
    operator.server.kubectl("delete", "mailbox,maildomain", "dave", "-n", operator.namespace, "--ignore-not-found")
    operator.server.kubectl("delete", "maildomain", "guest", "-n", operator.namespace, "--timeout=15s")
    operator.wait("host gone", lambda: operator.listed("maildomain") == [])


def test_an_address_is_one_mailboxs(operator: OperatorRun) -> None:
    operator.apply(domain("one", "one.test"), mailbox("first", "one", aliases=["info"]))
    operator.wait_ready("first")
    operator.apply(mailbox("second", "one", localPart="info"))
    operator.wait(
        "refused",
        lambda: operator.condition("mailbox", "second", "AddressAccepted")["reason"] == "AddressTaken",
    )
    operator.server.kubectl("delete", "mailbox", "first", "-n", operator.namespace)
    operator.wait_ready("second")


def test_changes_while_it_was_down_are_carried_out(operator: OperatorRun) -> None:
    operator.apply(domain("one", "one.test"), mailbox("alice", "one"))
    operator.wait_ready("alice")
    operator.stop(signal.SIGKILL)
    operator.apply(mailbox("eve", "one"), domain("one", "one.test", hostname="mx.one.test"))
    operator.start()
    operator.wait_ready("eve")
    operator.wait("hostname", lambda: operator.get("maildomain", "one")["status"]["hostname"] == "mx.one.test")


def test_children_changed_by_hand_are_mended(operator: OperatorRun) -> None:
    operator.apply(domain("one", "one.test", server={"replicas": 2}))
    operator.wait("deployment", lambda: len(operator.listed("deploy")) == 1)
    operator.quiet()
    operator.server.kubectl("scale", "deploy/one", "--replicas=5", "-n", operator.namespace)
    operator.wait("mended", lambda: operator.get("deploy", "one")["spec"]["replicas"] == 2)
    operator.server.kubectl("scale", "maildomain/one", "--replicas=3", "-n", operator.namespace)
    operator.wait("scaled", lambda: operator.get("deploy", "one")["spec"]["replicas"] == 3)


def test_the_number_of_replicas_survives_the_hand_over_to_an_autoscaler(operator: OperatorRun) -> None:
    operator.apply(domain("one", "one.test", server={"replicas": 5}))
    operator.wait("deployment", lambda: len(operator.listed("deploy")) == 1)
    operator.apply(domain("one", "one.test", server={"autoscaling": {"minReplicas": 2, "maxReplicas": 9}}))
    operator.wait("autoscaler", lambda: len(operator.listed("hpa")) == 1)
    assert operator.get("deploy", "one")["spec"]["replicas"] == 5


def _short(line: dict) -> str:  # type: ignore[type-arg]
    ref = line["objectRef"]
    return f"{line['verb']} {ref['resource']}/{ref.get('name')} {ref.get('subresource', '')}"
