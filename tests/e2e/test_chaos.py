"""Scaled, rolled and deleted under a steady load: no acknowledged mail lost or doubled, no client worse off than by a
reconnect (issue 4). MAILPOD_CHAOS_SECONDS says for how long pods are deleted; the count of the work follows it.
"""

from __future__ import annotations

import base64
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from tests.cluster.fixtures import Cluster
from tests.e2e.installed import FIGURES, STANDARD, Installation, domain, mailbox
from tests.e2e.loading import Loading
from tests.e2e.podwatch import PodWatch

pytestmark = pytest.mark.cluster

SECONDS = float(os.environ.get("MAILPOD_CHAOS_SECONDS", "120"))
EVERY = 5.0  # seconds between two deletions
RATE = 30  # messages, and sessions, a second
NAME, DOMAIN, HOSTNAME = "chaos", "chaos.test", "mail.chaos.test"
MAILBOXES = [f"user{number}" for number in range(8)] + ["pop1", "pop2"]
DRAINED = ["pop1", "pop2"]
BEFORE, AFTER = 3, 5  # replicas
TEMPORARY = 0.01  # of messages and sessions may be asked to come back: five pods, S3 and their clients on two cores


@pytest.fixture
def chaos(cluster: Cluster) -> Iterator[Installation]:
    """A server of three pods with its mailboxes, ready."""
    if cluster.running is None:
        pytest.skip("another's cluster: its Services are not reached from here")
    installation = Installation(cluster, prefix="chaos").install()
    installation.apply(
        [domain(NAME, DOMAIN, replicas=BEFORE, hostname=HOSTNAME), *(mailbox(m, NAME) for m in MAILBOXES)]
    )
    installation.wait_ready("maildomain", NAME)
    installation.wait_ready("mailbox", *MAILBOXES)
    yield installation
    installation.end()


def test_scaled_rolled_and_deleted_under_load(chaos: Installation) -> None:
    labels = chaos.get("maildomain", NAME)["status"]["selector"]
    with PodWatch(chaos, labels) as pods:
        until(lambda: pods.all_ready(BEFORE), "the pods are ready")
        with loading(chaos) as load:
            scale(chaos, pods)
            roll(chaos, pods)
            deleted = delete_pods(chaos, pods, load)
            until(lambda: pods.all_ready(AFTER), "all pods are ready again")
            result = load.finish()
    say(result, deleted, pods)
    assert result["faults"] == []
    assert not any(result["verdict"].values()), result["verdict"]
    assert result["message"] >= RATE * SECONDS
    assert result["imap"] + result["pop3"] >= RATE * SECONDS
    assert deleted >= SECONDS / EVERY / 2, "hardly a pod was deleted"
    assert result["cuts"], "nothing met a client, so nothing was shown"
    assert temporary(result) <= TEMPORARY * 2 * RATE * SECONDS, "the bucket was not to be had too often"
    assert not pods.restarted(), "a container ended by itself"


def temporary(result: dict[str, Any]) -> int:
    """How often a client was told that storage is not to be had just now."""
    return sum(count for kind, count in result["cuts"].items() if "temporary" in kind)


def loading(chaos: Installation) -> Loading:
    address = chaos.address(NAME)
    accounts = [(f"{name}@{DOMAIN}", chaos.password(name)) for name in MAILBOXES]
    return Loading(
        wrap=lambda command: chaos.cluster.command(*command),
        host=address,
        hostname=HOSTNAME,
        ports=STANDARD,
        ca=certificate(chaos),
        accounts=accounts,
        drained=[f"{name}@{DOMAIN}" for name in DRAINED],
        seed=random.SystemRandom().randrange(1_000_000),
        messages=int(RATE * SECONDS),
        sessions=int(RATE * SECONDS),
        message_rate=RATE * 1.1,
        session_rate=RATE * 1.1,
    )


def certificate(chaos: Installation) -> str:
    """The server's own, PEM, out of the Secrets that its pods mount."""
    for secret in chaos.get("secrets")["items"]:
        if secret["metadata"]["name"].startswith(f"{NAME}-keys-") and f"{DOMAIN}.crt" in secret.get("data", {}):
            return base64.b64decode(secret["data"][f"{DOMAIN}.crt"]).decode()
    raise AssertionError("no key Secret has the certificate")


def scale(chaos: Installation, pods: PodWatch) -> None:
    with FIGURES.timed(f"chaos: scaled from {BEFORE} to {AFTER}, all ready"):
        chaos.kubectl("scale", f"maildomain/{NAME}", f"--replicas={AFTER}")
        until(lambda: pods.all_ready(AFTER), f"{AFTER} pods are ready")


def roll(chaos: Installation, pods: PodWatch) -> None:
    """A setting of the chart that is in the pods' template; at least all but one stay ready."""
    (before,) = pods.templates()
    began = time.monotonic()
    with FIGURES.timed(f"chaos: {AFTER} pods rolled after `helm upgrade`"):
        chaos.upgrade("graceSeconds=43200")
        until(lambda: pods.all_ready(AFTER, template=before), "all pods are of the new template")
    fewest = pods.fewest(began)
    FIGURES.say("chaos: fewest pods ready while they were rolled", f"{fewest:6} of {AFTER}")
    assert fewest >= AFTER - 1


def delete_pods(chaos: Installation, pods: PodWatch, load: Loading) -> int:
    """A random one every few seconds, every other one by force; how many."""
    rng = random.Random()
    began, deleted = time.monotonic(), 0
    while (elapsed := time.monotonic() - began) < SECONDS:
        load.healthy()
        if living := pods.living():
            victim = rng.choice(living)
            if deleted % 2:
                kill(victim)
                chaos.kubectl("delete", "pod", victim, "--wait=false", "--force", "--grace-period=0")
            else:
                chaos.kubectl("delete", "pod", victim, "--wait=false")
            deleted += 1
        time.sleep(max(0.0, EVERY - (time.monotonic() - began - elapsed)))
    return deleted


def kill(pod: str) -> None:
    """SIGKILL, as when its node dies. Deleted by force alone it goes from the API at once, but the kubelet still lets
    it end in order. One that has not started yet has no process.
    """
    for process in psutil.process_iter(["cmdline"]):
        if (process.info["cmdline"] or [])[-2:] == ["--name", pod]:
            process.kill()


def until(condition: Callable[[], bool], what: str, seconds: float = 150) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s until {what}"
        time.sleep(0.2)


def say(result: dict[str, object], deleted: int, pods: PodWatch) -> None:
    messages, sessions, seconds = result["message"], int(result["imap"]) + int(result["pop3"]), float(result["seconds"])  # type: ignore[call-overload]
    FIGURES.say("chaos: seconds under load", f"{seconds:6.1f}")
    FIGURES.say("chaos: messages acknowledged, a second", f"{messages:6} {messages / seconds:6.1f}")
    FIGURES.say("chaos: IMAP and POP3 sessions, a second", f"{sessions:6} {sessions / seconds:6.1f}")
    FIGURES.say("chaos: pods deleted, all pods there were", f"{deleted:6} {len(pods.seen):6}")
    for name in ("flag changes", "deletions", "unknown", "unsure flags", "cuts", "gaps", "half within"):
        FIGURES.say(f"chaos: {name}", f"{result[name]}")
    for name in ("all but 1 % within", "slowest", "settled"):
        FIGURES.say(f"chaos: {name}", f"{result[name]}")
