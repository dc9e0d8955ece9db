"""API server and operator both gone for longer than every TTL: mail flows, and what was changed is carried out later.

MAILPOD_OUTAGE_SECONDS is how long: 60 by default, longer than what decides whether mail flows; 600 for the proof, as
long as all but the last two. What a pod keeps for a time, and how long:

    directory entries, present and absent alike       3 s    mailpod/directory.py, `ttl`
    that who is logged in still may be                4 s    `registry_sweep_seconds`
    certificates and keys in mounted files            5 s    `tls_poll_seconds`
    that the bucket answers (metric, /healthz)       10 s    `bucket_check_seconds`
    the other pods' addresses and keys, for hints    10 s    `hints.peers_seconds`
    another pod's claim on a spooled letter          60 s    `queue.claim_seconds`
    that an object was looked for in vain            60 s    store/finding.py
    failed log-ins                                  300 s    `throttle_decay_seconds`; halves them
    a new key for hints, unused until all have it   600 s    net/hints.py
    passwords that were right, as HMACs            3600 s    `auth_cache_seconds`; only spares argon2
    the bucket's clock                             3600 s    store/buckettime.py; measured again by one write

The container that is killed begins with none of them, and an account that no pod ever opened is used through it. Pods
have no token of the API server's that could end, and the trial S3's credentials do not.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.fixtures import Cluster
from tests.e2e.installed import FIGURES, INSIDE, Installation, Object, domain, mailbox
from tests.harness.processes import wait_until

pytestmark = pytest.mark.cluster

SECONDS = float(os.environ.get("MAILPOD_OUTAGE_SECONDS", "60"))
FLOW = Path(__file__).with_name("outage_flow.py")
UNOPENED = 16
NAME = "post.test"
_KINDS = ("receive", "submit", "imap", "pop3")


@pytest.fixture
def mine(cluster: Cluster) -> Iterator[Installation]:
    """An installation of the test's own, with two mail pods: its operator is stopped."""
    if cluster.running is None:
        pytest.skip("another's cluster: its API server is not ours to stop")
    made = Installation(cluster, prefix="outage").install()
    yield made
    made.end()


def test_mail_flows_while_api_server_and_operator_are_gone(mine: Installation, tmp_path: Path) -> None:
    used, unopened = ["anna", "ben", "clara"], [f"new{number:02}" for number in range(UNOPENED)]
    mine.apply([domain("post", NAME, replicas=2), *(mailbox(name, "post") for name in used + unopened)])
    mine.wait_ready("mailbox", *used, *unopened)
    mine.wait_ready("maildomain", "post")
    wait_until(lambda: len(mine.pods("post")) == 2, 120, "both pods are ready", 1.0)
    passwords = {f"{name}@{NAME}": mine.password(name) for name in used + unopened}
    address, pods = mine.address("post"), mine.pods("post")
    victim = sorted(pods)[0]
    before, uids = _containers(mine, victim), _uids(mine)
    flow = _Flow(mine, tmp_path, address, passwords, used, unopened)

    mine.stop_operator()
    flow.start()
    assert mine.cluster.running is not None
    mine.cluster.running.stop("kube-apiserver")
    began = time.time()
    try:
        with pytest.raises(AssertionError):
            mine.cluster.kubectl("get", "nodes", "--request-timeout=5s")
        _sleep_until(began + SECONDS / 4, flow)
        killed = time.time()
        _kill(mine, before)
        wait_until(lambda: _answers(mine, pods[victim]), 120, "the kubelet has started the container again", 0.3)
        FIGURES.say("outage: a container killed; it serves again after", f"{time.time() - killed:6.1f} s")
        _direct(mine, pods[victim], f"{unopened[-1]}@{NAME}", passwords)
        _sleep_until(began + SECONDS, flow)
    finally:
        mine.cluster.running.start("kube-apiserver")
        ended = time.time()
    wait_until(lambda: _api_is_there(mine), 120, "the API server is back", 0.5)
    for component in ("kube-controller-manager", "kube-proxy"):  # each looks again when it sees fit, minutes later
        mine.cluster.running.stop(component)
        mine.cluster.running.start(component)
    _change(mine)
    _not_yet(mine, address, passwords)
    flow.stop()
    flow.judge(began, killed, ended)

    wait_until(lambda: mine.pods("post") == pods, 120, "both pods are ready again", 1.0)
    assert _uids(mine) == uids, "no pod was replaced"
    wait_until(lambda: _restarts(mine, victim) == before["restarts"] + 1, 120, "the kubelet tells of the restart", 1.0)
    with FIGURES.timed("outage: the operator starts, and all that was changed meanwhile is in force after"):
        mine.start_operator()
        _carried_out(mine, address, passwords)
    assert flow.lost(passwords | {f"anna@{NAME}": "changed-meanwhile"}) == []


# -- while there is no API server


def _containers(of: Installation, pod: str) -> Object:
    """The mail container of a pod: its id at containerd, and process."""
    status = of.get("pod", pod)["status"]["containerStatuses"][0]
    id = status["containerID"].rpartition("/")[2]
    return {"id": id, "restarts": status["restartCount"], "process": _process(of, id)}


def _restarts(of: Installation, pod: str) -> int:
    return int(of.get("pod", pod)["status"]["containerStatuses"][0]["restartCount"])


def _uids(of: Installation) -> set[str]:
    """Of all pods of the MailDomain, ready or not."""
    labels = of.get("maildomain", "post")["status"]["selector"]
    return {pod["metadata"]["uid"] for pod in of.get("pods", "-l", labels)["items"]}


def _process(of: Installation, id: str) -> str:
    tasks = of.program("ctr", "-n", "k8s.io", "tasks", "ls").splitlines()
    return next(line.split()[1] for line in tasks if line.startswith(id))


def _kill(of: Installation, container: Object) -> None:
    """kill -9 from the node; then its process is gone."""
    of.program("kill", "-9", container["process"])
    wait_until(
        lambda: of.cluster.run("kill", "-0", container["process"], check=False).returncode != 0, 30, "it is dead"
    )


def _answers(of: Installation, ip: str) -> bool:
    ask = f"import smtplib; print(smtplib.SMTP('{ip}', 10025, timeout=5).ehlo()[0])"
    return of.cluster.run("python3", "-c", ask, check=False).stdout.strip() == "250"


def _direct(of: Installation, ip: str, address: str, passwords: dict[str, str]) -> None:
    """An account that was never opened, at the pod that has just begun with nothing in memory."""
    said = of.ask("send", host=ip, port=10025, recipient=address)
    assert said["replies"][0][0] == 250, said
    found = of.ask("mailbox", host=ip, port=10993, user=address, password=passwords[address])
    assert len(found["messages"]) == 1, found


def _sleep_until(moment: float, flow: _Flow) -> None:
    while time.time() < moment:
        flow.check()
        time.sleep(0.5)


def _api_is_there(of: Installation) -> bool:
    if of.cluster.run("kubectl", "get", "--raw", "/readyz", check=False).stdout != "ok":
        return False
    nodes = of.cluster.get("nodes")["items"]
    conditions = [line for node in nodes for line in node["status"]["conditions"] if line["type"] == "Ready"]
    return all(line["status"] == "True" for line in conditions)


# -- what is changed while there is no operator


def _change(of: Installation) -> None:
    """A new Mailbox, a new password, another name of the server, and one pod more."""
    secret = of.get("mailbox", "anna")["status"]["passwordSecretName"]
    data = {"data": {"password": base64.b64encode(b"changed-meanwhile").decode()}}
    of.kubectl("patch", "secret", secret, "--type=merge", "-p", json.dumps(data))
    of.apply(mailbox("late", "post"))
    spec = {"spec": {"hostname": "mx.post.test", "server": {"replicas": 3}}}
    of.kubectl("patch", "maildomain", "post", "--type=merge", "-p", json.dumps(spec))


def _not_yet(of: Installation, address: str, passwords: dict[str, str]) -> None:
    """It is the operator who carries it out: nothing has come of it."""
    assert _reply(of, address, f"late@{NAME}") == 550
    said = of.ask("login", host=address, port=993, user=f"anna@{NAME}", password=passwords[f"anna@{NAME}"])
    assert said["in"], said


def _carried_out(of: Installation, address: str, passwords: dict[str, str]) -> None:
    of.wait_ready("mailbox", "late")

    def login(password: str) -> bool:
        return bool(of.ask("login", host=address, port=993, user=f"anna@{NAME}", password=password)["in"])

    wait_until(lambda: login("changed-meanwhile"), 60, "the new password is in force", 0.5)
    wait_until(lambda: not login(passwords[f"anna@{NAME}"]), 60, "the old password is refused", 0.5)
    wait_until(lambda: len(of.pods("post")) == 3, 180, "there are three pods", 1.0)
    assert of.get("maildomain", "post")["status"]["hostname"] == "mx.post.test"
    wait_until(lambda: _greets(of, "mx.post.test"), 180, "every pod has its new name", 1.0)
    wait_until(lambda: _reply(of, address, f"late@{NAME}") == 250, 180, "received", 0.5)
    found = of.ask("mailbox", host=address, port=993, user=f"late@{NAME}", password=of.password("late"))
    assert found["messages"]


def _reply(of: Installation, address: str, recipient: str) -> int:
    """To RCPT, or to DATA where that was taken; 0 where nobody answers at the Service's address yet."""
    job = {"do": "send", "host": address, "port": 25, "recipient": recipient}
    done = of.cluster.run(sys.executable, INSIDE, stdin=json.dumps(job), check=False)
    return int(json.loads(done.stdout)["replies"][0][0]) if done.returncode == 0 else 0


def _greets(of: Installation, name: str) -> bool:
    """All three pods that serve now are called so, each at its own address."""
    ask = "import smtplib, sys; s = smtplib.SMTP(timeout=10); print(s.connect(sys.argv[1], 10025)[1].decode())"
    pods = of.pods("post").values()
    said = [of.cluster.run("python3", "-c", ask, ip, check=False).stdout for ip in pods]
    return len(said) == 3 and all(line.startswith(name) for line in said)


# -- the mail that flows


class _Flow:
    """`outage_flow.py` at work, and its ledger."""

    def __init__(
        self,
        of: Installation,
        folder: Path,
        address: str,
        passwords: dict[str, str],
        used: list[str],
        unopened: list[str],
    ) -> None:
        self._of, self._address = of, address
        self._ledger, self._stop = folder / "ledger", folder / "stop"
        first = unopened[:-1]  # the last one is for the container that was killed
        self._job: dict[str, Any] = {
            "host": address,
            "accounts": {f"{name}@{NAME}": passwords[f"{name}@{NAME}"] for name in used},
            "unopened": {f"{name}@{NAME}": passwords[f"{name}@{NAME}"] for name in first},
            "every": SECONDS * 0.9 / len(first),
            "pace": 1.0,
            "ledger": str(self._ledger),
            "stop": str(self._stop),
        }
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Returns when a first round is over."""
        command = ["setpriv", "--pdeathsig=KILL", *self._of.cluster.command(sys.executable, FLOW)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, stderr=subprocess.PIPE)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(self._job))
        self._process.stdin.close()
        wait_until(lambda: len(self.lines()) >= 4, 90, "mail flows at all")

    def check(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        if self._process.poll() is not None:
            raise AssertionError(self._process.stderr.read()[-3000:])

    def stop(self) -> None:
        self.check()
        assert self._process is not None
        self._stop.touch()
        self._process.wait(180)

    def lines(self) -> list[dict[str, Any]]:
        text = self._ledger.read_text() if self._ledger.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def judge(self, began: float, killed: float, ended: float) -> None:
        """Everything succeeded, all kinds in the second half too, and accounts that were never opened in each way."""
        lines = self.lines()
        assert [line for line in lines if not line["done"]] == []
        within = [line for line in lines if began < line["began"] and line["ended"] < ended]
        late = [line["what"] for line in within if line["began"] > (began + ended) / 2]
        for what in _KINDS:
            assert late.count(what) > 0, f"no {what} in the second half of the outage"
        opened = {line["whose"]: line["what"] for line in within if line["what"].startswith("first")}
        assert len(opened) >= len(self._job["unopened"]) // 2, opened
        assert set(opened.values()) == {f"first {what}" for what in _KINDS}
        again = [line for line in within if line["attempts"] > 1]
        unprovoked = [line for line in again if line["ended"] < killed]
        counts = [str(sum(line["what"].endswith(what) for line in within)) for what in _KINDS]
        FIGURES.say(f"outage of {ended - began:.0f} s: received, submitted, IMAP and POP3 log-ins", " ".join(counts))
        FIGURES.say("outage: accounts used that were never opened before", str(len(opened) + 1))
        FIGURES.say("outage: clients that had to try again", f"{len(again)}, longest {_longest(again):.1f} s")
        FIGURES.say("outage: of these before the container was killed", str(len(unprovoked)))

    def lost(self, passwords: dict[str, str]) -> list[str]:
        """Letters that were acknowledged and are not there exactly once."""
        used = {line["to"] for line in self.lines()} | {line["whose"] for line in self.lines()}
        job = {"host": self._address, "subjects": {one: passwords[one] for one in sorted(used)}}
        found = json.loads(self._of.program(sys.executable, FLOW, stdin=json.dumps(job)))
        sent = [line for line in self.lines() if line["what"].split()[-1] in ("receive", "submit")]
        assert sent
        every = [subject for held in found.values() for subject in held]
        twice = {subject for subject in every if every.count(subject) > 1}
        missing = [line["id"] for line in sent if line["id"] not in found[line["to"]]]
        return [*missing, *sorted(twice)]


def _longest(lines: list[dict[str, Any]]) -> float:
    return max((line["ended"] - line["began"] for line in lines), default=0.0)
