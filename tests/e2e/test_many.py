"""Many Mailboxes, and many MailDomains on one running host: MAILPOD_MANY_MAILBOXES and MAILPOD_MANY_DOMAINS of them."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator

import pytest
from tests.cluster.fixtures import Cluster
from tests.e2e.installed import FIGURES, Installation, Object, domain, mailbox
from tests.e2e.many import Many, password_secret, until

pytestmark = pytest.mark.cluster

MAILBOXES = int(os.environ.get("MAILPOD_MANY_MAILBOXES", "500"))
DOMAINS = int(os.environ.get("MAILPOD_MANY_DOMAINS", "60"))
BATCHES = 3
CHOSEN = 50
IN_FORCE = 10.0  # seconds, DESIGN.md
KEYS_SECONDS = 180.0  # the kubelet brings changed Secrets to running pods within 90, where it has time


@pytest.fixture(scope="module")
def many(cluster: Cluster) -> Iterator[Many]:
    """An installation whose operator sweeps when a test asks it to."""
    made = Installation(cluster, "operator.sweepSeconds=3600", prefix="many").install()
    found = Many(made)
    yield found
    found.delete_all("mailboxes")
    found.delete_all("maildomains")
    made.end()


@pytest.fixture(scope="module")
def boxes(many: Many) -> list[str]:
    """A MailDomain with pods, and all of the Mailboxes, Ready."""
    many.installation.apply(domain("many", "many.test", replicas=2))
    many.installation.wait_ready("maildomain", "many")
    names = [f"u{number:05}" for number in range(MAILBOXES)]
    memory, used, place, began = many.memory(), _cpu(many), many.audit_place(), time.monotonic()
    many.apply([mailbox(name, "many") for name in names])
    applied = time.monotonic() - began
    many.wait_all_ready("mailboxes", MAILBOXES, 60 + MAILBOXES / 10)
    FIGURES.say(f"{MAILBOXES} Mailboxes: applied, all Ready", f"{applied:6.1f} s, {time.monotonic() - began:.1f} s")
    _say_memory(many, memory, f"{MAILBOXES} Mailboxes")
    FIGURES.say("the operator's CPU time a Mailbox", f"{(_cpu(many) - used) * 1000 / MAILBOXES:6.1f} ms")
    many.wait_settled()
    _check_writes(many, place)
    return names


def _cpu(many: Many) -> float:
    return many.metrics()["process_cpu_seconds_total"]


def _say_memory(many: Many, before: float, with_what: str) -> None:
    now = many.memory()
    FIGURES.say(
        f"the operator's memory: before, at most, with {with_what}", f"{before:6.0f}, {many.peak:.0f}, {now:.0f} MiB"
    )
    assert max(many.peak, now) < 512, "MiB; half of what the chart allows it"


def _check_writes(many: Many, place: int) -> None:
    """A Mailbox costs one Secret and one status; another status where it was seen before its MailDomain was ready."""
    written = many.audited(place)
    for what, count in sorted(written.items()):
        FIGURES.say(f"API writes for {MAILBOXES} Mailboxes: {what}", f"{count:6}")
    if many.installation.cluster.running:
        assert written["create secrets"] == MAILBOXES
        assert MAILBOXES <= written["patch mailboxes/status"] <= 1.1 * MAILBOXES
        assert sum(written.values()) < 2.2 * MAILBOXES + 50


def test_fifty_random_ones_log_in_and_receive_at_once(many: Many, boxes: list[str]) -> None:
    chosen = random.Random(MAILBOXES).sample(boxes, CHOSEN)
    passwords = many.passwords(chosen)
    accounts = [[f"{name}@many.test", passwords[name]] for name in chosen]
    took = many.ask("arrive", host=many.installation.host("many"), accounts=accounts)["seconds"]
    assert len(took) == CHOSEN
    FIGURES.say("fifty at once: logged in, sent a letter, read it; the slowest", f"{max(took):6.1f} s")


def test_a_restart_and_a_forced_sweep_write_nothing(many: Many, boxes: list[str]) -> None:
    many.sweep("many")  # it finds what the letters of other tests take up, which statuses tell
    many.wait_settled()
    _wait_still(many)
    bucket, versions, place, began = many.bucket(), many.versions(), many.audit_place(), time.monotonic()
    many.restart_operator()
    many.wait_settled()
    FIGURES.say(f"the operator restarted: all {MAILBOXES} Mailboxes looked at", f"{time.monotonic() - began:6.1f} s")
    _say_memory(many, many.memory(), "the restart")
    assert not many.audited(place)
    assert _changed(versions, many.versions()) <= {f"Deployment/{many.installation.operator}"}  # scaled, to restart it
    assert _changed(bucket, many.bucket()) == set()

    versions, place = many.versions(), many.audit_place()
    FIGURES.say(f"a forced sweep of {MAILBOXES} Mailboxes and their directory", f"{many.sweep('many'):6.1f} s")
    assert not many.audited(place)
    assert _changed(versions, many.versions()) <= {"MailDomain/many"}  # annotated, to force it
    assert _changed(bucket, many.bucket()) == set()


def test_a_damaged_entry_is_repaired_in_a_pass_of_its_own(many: Many, boxes: list[str]) -> None:
    victim = random.Random(1).choice(boxes)
    (key,) = [key for key in many.bucket() if key.endswith(f"directory/many.test/{victim}/address")]
    _wait_still(many)
    before = many.bucket()
    many.plant(key, '{"an entry": "that nobody signed"}')
    planted = many.bucket()
    assert _changed(before, planted) == {key}
    many.sweep("many")
    repaired = many.bucket()
    assert _changed(planted, repaired) == {key}, "it, and nothing else, was written"
    account = [f"{victim}@many.test", many.passwords([victim])[victim]]
    many.ask("arrive", host=many.installation.host("many"), accounts=[account])


def test_a_changed_password_is_in_force_while_other_work_goes_on(many: Many, boxes: list[str]) -> None:
    """A sweep of everything, and new Mailboxes, wait meanwhile."""
    chosen = random.Random(2).sample(boxes, CHOSEN)
    old = many.passwords(chosen)
    accounts = [[f"{name}@many.test", old[name], f"new word of {name}"] for name in chosen]
    secrets = [password_secret(name, f"new word of {name}") for name in chosen]
    more = [mailbox(f"more{number}", "many") for number in range(max(MAILBOXES // 10, 20))]
    many.installation.kubectl(
        "annotate", "maildomain", "many", f"mailpod.dev/reconcile-at={time.time_ns()}", "--overwrite"
    )
    many.apply(more)
    found = many.ask(
        "change",
        host=many.installation.host("many"),
        accounts=accounts,
        manifest=json.dumps({"apiVersion": "v1", "kind": "List", "items": secrets}),
        namespace=many.namespace,
        within=IN_FORCE,
    )
    FIGURES.say(
        "fifty changed passwords: sessions closed, new ones in force; the slowest of each",
        f"{max(found['closed']):6.1f} s, {max(found['new']):.1f} s",
    )
    assert found["applied"] == 0
    assert max(found["new"]) <= IN_FORCE
    assert all("AUTHENTICATIONFAILED" in said for said in found["said"]), "the old ones are refused"
    many.wait_all_ready("mailboxes", MAILBOXES + len(more), 120)


def test_many_domains_on_a_running_host(many: Many) -> None:
    installation = many.installation
    installation.apply(domain("host", "host.test", replicas=2))
    installation.wait_ready("maildomain", "host")
    installation.cluster.wait_rollout(many.namespace, "deployment/host")
    pods, template = _pods(many), _template(many)
    memory, place = many.memory(), many.audit_place()
    names = [f"d{number:03}" for number in range(DOMAINS)]
    for batch in range(BATCHES):
        part = names[batch::BATCHES]
        began, already = time.monotonic(), len(many.all("maildomains"))
        many.apply([each for name in part for each in _guest(name)])
        many.wait_all_ready("maildomains", already + len(part), 300)
        FIGURES.say(f"{len(part)} MailDomains more on a running host, all Ready", f"{time.monotonic() - began:6.1f} s")
    many.wait_all_ready("mailboxes", DOMAINS, 120)
    _say_memory(many, memory, f"{DOMAINS} MailDomains more")
    for what, count in sorted(many.audited(place).items()):
        FIGURES.say(f"API writes for {DOMAINS} MailDomains, a Mailbox in each: {what}", f"{count:6}")

    began = time.monotonic()
    for pod in pods:
        until("each certificate by SNI", lambda pod=pod: _certified(many, pod, names), KEYS_SECONDS)  # type: ignore[misc]
    FIGURES.say(
        "each certificate is served by SNI at both pods, after the last was Ready", f"{time.monotonic() - began:6.1f} s"
    )
    assert set(many.ask("deliver", host=installation.host("host"), addresses=_addresses(names)).values()) == {250}
    passwords = many.passwords([f"box-{name}" for name in names])
    accounts = [[f"info@{name}.test", passwords[f"box-{name}"]] for name in names]
    assert len(many.ask("arrive", host=installation.host("host"), accounts=accounts)["seconds"]) == DOMAINS
    assert installation.get("maildomain", "host")["status"]["servedDomains"] == DOMAINS + 1

    gone, kept = names[::3], [name for name in names if name not in names[::3]]
    began = time.monotonic()
    many.delete("maildomain", gone)
    until("those that are deleted are refused", lambda: _refused(many, gone), 60)
    FIGURES.say(f"{len(gone)} of them deleted: all refused", f"{time.monotonic() - began:6.1f} s")
    assert set(many.ask("deliver", host=installation.host("host"), addresses=_addresses(kept)).values()) == {250}

    many.sweep("host")  # whose comparison misses nobody
    status = installation.get("maildomain", "host")["status"]
    conditions = {line["type"]: line["status"] for line in status["conditions"]}
    assert conditions["DirectoryReady"] == conditions["Ready"] == "True", status
    assert status["servedDomains"] == DOMAINS + 1 - len(gone)
    assert _refused(many, gone)
    assert (_pods(many), _template(many)) == (pods, template), "no pod was touched"


def _guest(name: str) -> list[Object]:
    return [domain(name, f"{name}.test", host="host"), mailbox(f"box-{name}", name, localPart="info")]


def _addresses(names: list[str]) -> list[str]:
    return [f"info@{name}.test" for name in names]


def _certified(many: Many, pod: str, names: list[str]) -> bool:
    """Whether a pod (its address) serves each domain's own certificate."""
    wanted = {f"mail.{name}.test" for name in names}
    found = many.ask("certificates", host=pod, port=10993, names=sorted(wanted))
    return all(name in found[name] for name in wanted)


def _refused(many: Many, names: list[str]) -> bool:
    """For good: 550, not 451."""
    host = many.installation.host("host")
    codes = set(many.ask("deliver", host=host, addresses=_addresses(names), data=False).values())
    return codes <= {550, 554}


def _pods(many: Many) -> dict[str, tuple[str, int]]:
    """By address: UID, and how many times its container was restarted."""
    labels = many.installation.get("maildomain", "host")["status"]["selector"]
    return {
        pod["status"]["podIP"]: (
            pod["metadata"]["uid"],
            sum(container["restartCount"] for container in pod["status"]["containerStatuses"]),
        )
        for pod in many.installation.get("pods", "-l", labels)["items"]
    }


def _template(many: Many) -> tuple[int, list[str]]:
    """The Deployment's generation, and the hashes of the templates that it had."""
    labels = many.installation.get("maildomain", "host")["status"]["selector"]
    sets = many.installation.get("replicasets", "-l", labels)["items"]
    hashes = sorted(each["metadata"]["labels"]["pod-template-hash"] for each in sets)
    return many.installation.get("deployment", "host")["metadata"]["generation"], hashes


def _changed(before: dict[str, object], after: dict[str, object]) -> set[str]:
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def _wait_still(many: Many) -> None:
    """Until pods have done their work on the letters of other tests: checkpoints, and whatever else is due."""
    seen: list[dict[str, list[str]]] = [{}]

    def still() -> bool:
        seen.append(many.bucket())
        return seen[-1] == seen[-2]

    until("nothing is written to the bucket", still, 120, 5)
