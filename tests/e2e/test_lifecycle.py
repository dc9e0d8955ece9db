"""What becomes of mail: a Mailbox deleted with Retain and with Delete, a release uninstalled and installed again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.fixtures import Cluster
from tests.e2e.installed import FIGURES, Installation, Object, domain, mailbox
from tests.harness.processes import wait_until

pytestmark = pytest.mark.cluster

GRACE = 30
"""Seconds between the end of an account and its purge, in these installations: longer than a test needs to look."""
DOMAIN = "life.test"


@pytest.fixture(scope="module")
def mine(cluster: Cluster) -> Iterator[Installation]:
    """An installation with a short GRACE and frequent sweeps, and the MailDomain `life` in it."""
    made = Installation(cluster, f"graceSeconds={GRACE}", "operator.sweepSeconds=5", prefix="life").install()
    made.apply(domain("life", DOMAIN))
    made.wait_served("life")
    yield made
    made.end()


def _fill(of: Installation, local: str, count: int, service: str = "life") -> None:
    """Letters into a mailbox, each acknowledged."""
    said = of.ask("send", host=of.host(service), port=25, recipient=f"{local}@{DOMAIN}", count=count)
    assert [code for code, _ in said["replies"]] == [250] * count, said


def _read(of: Installation, local: str, service: str = "life") -> Object:
    """UIDVALIDITY and messages of INBOX, with the password of now; tried for as long as a new password may take."""
    answers: list[Object] = []

    def there() -> bool:
        user, password = f"{local}@{DOMAIN}", of.password(local)
        if of.ask("login", host=of.host(service), port=993, user=user, password=password)["in"]:
            answers.append(of.ask("mailbox", host=of.host(service), port=993, user=user, password=password))
        return bool(answers)

    wait_until(there, 60, f"{local} can log in")
    return answers[0]


def _told(objects: Object, kind: str, part: str) -> list[str]:
    return [key for key in objects[kind] if part in key]


def _gone(of: Installation, kind: str, name: str) -> bool:
    return not of.kubectl("get", kind, name, "--ignore-not-found", "-o", "name").strip()


def test_retain_keeps_the_mail_for_a_mailbox_of_the_same_name(mine: Installation) -> None:
    """Deleted while the operator was down, and applied again; then deleted while it was up, and applied again."""
    kept = mailbox("kept", "life")
    mine.apply(kept)
    mine.wait_ready("mailbox", "kept")
    _fill(mine, "kept", 3)
    before = _read(mine, "kept")
    assert len(before["messages"]) == 3

    mine.stop_operator()
    uid = mine.get("mailbox", "kept")["metadata"]["uid"]
    mine.kubectl("delete", "mailbox", "kept", "--timeout=30s")
    assert _gone(mine, "mailbox", "kept"), "nothing holds it: there is nothing to close"
    mine.apply(kept)
    assert mine.get("mailbox", "kept")["metadata"]["uid"] != uid
    with FIGURES.timed("operator back after a Mailbox was replaced meanwhile (Retain): until Ready"):
        mine.start_operator()
        mine.wait_ready("mailbox", "kept")
    assert _read(mine, "kept") == before

    mine.kubectl("delete", "mailbox", "kept", "--timeout=30s")
    _refused(mine, "kept")
    mine.apply(kept)
    mine.wait_ready("mailbox", "kept")
    assert _read(mine, "kept") == before
    _fill(mine, "kept", 1)
    assert len(_read(mine, "kept")["messages"]) == 4


def _refused(of: Installation, local: str, seconds: float = 20) -> float:
    """Wait until mail for an address is refused for good; how long it took."""

    def answer() -> int:
        return int(of.ask("rcpt", host=of.host("life"), port=25, recipient=f"{local}@{DOMAIN}")["code"])

    return wait_until(lambda: answer() == 550, seconds, f"{local}@{DOMAIN} is refused")


def test_delete_erases_the_mail_when_grace_is_over(mine: Installation) -> None:
    mine.apply(mailbox("erased", "life", deletionPolicy="Delete"))
    mine.wait_ready("mailbox", "erased")
    _fill(mine, "erased", 3)
    before, password = _read(mine, "erased"), mine.password("erased")
    account, directory = f"/accounts/{DOMAIN}/erased/", f"/directory/{DOMAIN}/erased/"
    assert _told(mine.objects(), "objects", account)

    began = time.monotonic()
    with FIGURES.timed("kubectl delete mailbox with Delete, until the object is gone"):
        mine.kubectl("delete", "mailbox", "erased", "--timeout=30s")
    FIGURES.say("… until mail for it is refused (550)", f"{_refused(mine, 'erased'):6.1f} s")
    said = mine.ask("login", host=mine.host("life"), port=993, user=f"erased@{DOMAIN}", password=password)
    assert not said["in"]
    there = mine.objects()
    if time.monotonic() - began < GRACE:
        assert _told(there, "objects", f"{account}"), "GRACE is not over"
    recorded = _told(there, "objects", f"{directory}incarnation/")
    assert len(recorded) == 2, "the next incarnation, absent, is the purge's record"

    def left() -> list[str]:
        found = mine.objects()
        return [key for kind in ("objects", "versions", "markers") for key in _told(found, kind, account)]

    wait_until(lambda: not left(), GRACE + 90, f"nothing is left below {account}", step=1)
    took = time.monotonic() - began
    FIGURES.say(f"… until no object, old version or delete marker of it is left (GRACE {GRACE} s)", f"{took:6.1f} s")
    assert took > GRACE
    assert _told(mine.objects(), "objects", f"{directory}incarnation/") == recorded

    mine.apply(mailbox("erased", "life", deletionPolicy="Delete"))
    mine.wait_ready("mailbox", "erased")
    again = _read(mine, "erased")
    assert again["messages"] == {}
    assert again["uidvalidity"] > before["uidvalidity"]


def test_uninstall_leaves_definitions_bucket_and_mail(cluster: Cluster) -> None:
    """The trial S3 goes too; its claim, and all that is in it, does not."""
    of = Installation(cluster, "trialS3.persistence.enabled=true", 'trialS3.persistence.size="1Gi"', prefix="again")
    volume = _volume(of)
    try:
        of.install()
        of.apply([domain("life", DOMAIN), mailbox("stays", "life")])
        of.wait_served("life")
        of.wait_ready("mailbox", "stays")
        _fill(of, "stays", 3)
        before, uids = _read(of, "stays"), _uids(of)

        with FIGURES.timed("helm uninstall"):
            of.uninstall()
        assert _uids(of) == uids, "definitions, MailDomain, Mailbox, claim, Service and Deployment of the mail pods"
        assert of.get("deployment", "life")["status"]["readyReplicas"] == 1

        with FIGURES.timed("helm install again, until a letter of before is read"):
            of.install(timeout=150)
            assert _read(of, "stays") == before
        _fill(of, "stays", 1)
        assert len(_read(of, "stays")["messages"]) == 4
        assert _uids(of) == uids
    finally:
        of.end()
        if volume:
            cluster.kubectl("delete", "pv", volume, "--timeout=60s")


def _uids(of: Installation) -> dict[str, str]:
    """Of what must outlive a release."""
    kinds = {"maildomain": "life", "mailbox": "stays", "deployment": "life", "service": "life", "pvc": of.s3}
    found = {kind: of.get(kind, name)["metadata"]["uid"] for kind, name in kinds.items()}
    found["crd"] = of.cluster.get("crd", "maildomains.mailpod.dev")["metadata"]["uid"]
    return found


def _volume(of: Installation) -> str | None:
    """On our own cluster, which has no provisioner, a volume for the claim; its name."""
    running = of.cluster.running
    if running is None:
        return None
    place = running.folder / f"volume-{of.namespace}"
    place.mkdir()
    place.chmod(0o777)
    spec: dict[str, Any] = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": f"/run/mailpod/{place.name}"},
        "claimRef": {"namespace": of.namespace, "name": of.s3},
    }
    of.cluster.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": of.namespace}, "spec": spec})
    return of.namespace
