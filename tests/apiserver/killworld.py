"""A small world of its own for each operator that is killed: a namespace, a bucket, and what a person applies.

One host, one domain that it serves, and three Mailboxes: a generated password, a given one, and one that is deleted in
the second act, its mail with it.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml
from tests.apiserver.harness import ApiServer
from tests.apiserver.killing import Kill, Launcher, kind_of
from tests.apiserver.killstate import Api, Bucket, State, differences, secrets, state
from tests.apiserver.operatorrun import domain, mailbox
from tests.fixtures_seaweed import Seaweed

Raw: TypeAlias = dict[str, Any]
PREFIX: Final = "mail"
OURS: Final = "apis/mailpod.dev/v1alpha1"
GIVEN: Final = "a-given-password"
_PATIENCE: Final = 90.0  # seconds for an act; it takes three or four where nothing else runs


@dataclass(frozen=True, slots=True)
class Place:
    """Where worlds are."""

    server: ApiServer
    seaweed: Seaweed
    launcher: Launcher
    folder: Path


@dataclass(slots=True)
class World:
    """`play` it. The operator is killed once, by `kill`, and started again.

    `creates`: the operator makes the bucket and sets it up; else it adopts one, whose trial is quicker by far.
    """

    place: Place
    name: str
    kill: Kill | None = None
    creates: bool = False
    killed: bool = False
    starts: int = 0
    _started_again: bool = False
    _process: ForkServerProcess | None = None
    _kept: dict[tuple[str, str], str] = field(default_factory=dict)
    api: Api = field(init=False)
    bucket: Bucket = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.api = Api(self.place.server)
        self.bucket = Bucket(self.place.seaweed, self.name)

    @property
    def folder(self) -> Path:
        return self.place.folder / self.name

    @property
    def journal(self) -> list[str]:
        """The writes that its operators began, in order."""
        return self.lines("journal")

    def play(self, wanted: Sequence[State] | None) -> list[State]:
        """Both acts; the state after each. With `wanted` an act is over when the world is so, else when it is still.

        Raises AssertionError with what differs.
        """
        try:
            self.prepare()
            self._start(self.kill)
            states = [self._await(wanted[0] if wanted else None, self._all_is_open)]
            self.api.ask("DELETE", f"{OURS}/namespaces/{self.name}/mailboxes/carol")
            states.append(self._await(wanted[1] if wanted else None, self._carol_is_gone))
            self._sweep_again(states[1])
            return states
        finally:
            self.end()

    def end(self) -> None:
        """Kill its operator, and make room in the bucket's server; what is in the API server stays."""
        if self._process is not None and self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.bucket.remove()
        self.api.close()

    # -- what a person does

    def prepare(self) -> None:
        """The namespace, and all that the first act begins with."""
        self.api.ask("POST", "api/v1/namespaces", {"metadata": {"name": self.name}})
        keys = {"accessKeyID": self.place.seaweed.access_key, "secretAccessKey": self.place.seaweed.secret_key}
        self._secret("s3", "s3", keys)
        self._secret("given", "password", {"password": GIVEN})
        if not self.creates:
            self.bucket.make()
        storage = {
            "bucket": self.name,
            "prefix": PREFIX,
            "endpoint": self.place.seaweed.endpoint,
            "region": self.place.seaweed.region,
            "credentialsSecretRef": {"name": "s3"},
            "provisioning": "Create" if self.creates else "Adopt",
        }
        for raw in (
            domain("host", "host.test", server={"replicas": 2, "storage": storage}),
            domain("guest", "guest.test", servedByRef={"name": "host"}, aliasDomains=["other.test"]),
            mailbox("alice", "host"),
            mailbox("bob", "guest", aliases=["info"], passwordSecretRef={"name": "given"}),
            mailbox("carol", "guest", aliases=["sales"], deletionPolicy="Delete"),
        ):
            plural = "maildomains" if raw["kind"] == "MailDomain" else "mailboxes"
            self.api.ask("POST", f"{OURS}/namespaces/{self.name}/{plural}", raw)

    def _secret(self, name: str, use: str, values: dict[str, str]) -> None:
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        metadata = {"name": name, "labels": {"mailpod.dev/use": use}}
        self.api.ask("POST", f"api/v1/namespaces/{self.name}/secrets", {"metadata": metadata, "data": data})

    # -- its operators

    def _start(self, kill: Kill | None) -> None:
        """The first, or the next one: a container that restarts in its pod; every fourth time another pod, which has
        to wait for the Lease."""
        pod = "operator-b" if self.starts and self.kill and self.kill.k % 4 == 1 else "operator-a"
        config = self.folder / f"{pod}.yaml"
        config.write_text(yaml.safe_dump(self.settings(pod)))
        log, journal = self.folder / "operator.log", self.folder / "journal"
        self._process = self.place.launcher.start(config, self.place.server.kubeconfig, log, journal, kill)
        self.starts += 1

    def settings(self, pod: str) -> Raw:
        """An operator's."""
        return {
            "namespace": self.name,
            "watchNamespaces": [self.name],
            "podName": pod,
            "podImage": "mailpod:test",
            "clusterUid": "test-cluster",
            "allowHttpHosts": ["127.0.0.1"],
            "leaseSeconds": 5,
            "sweepSeconds": 1,
            "graceSeconds": 1,
            "dnsChecks": False,
            "healthHost": "127.0.0.1",
            "healthPort": 0,
        }

    def _tend(self) -> None:
        """An operator that was killed as it was told is started again; every Secret keeps its values."""
        assert self._process is not None
        status = self.place.launcher.status(self._process)
        if status is None:
            return
        told = self.kill is not None and self.kill.variant != "cut" and not self.killed
        assert told, f"the operator ended by itself: {status}\n{self._tail()}"
        assert status == -9, f"exit status {status}\n{self._tail()}"
        self.killed = True
        self._keep()
        self._start(None)

    def _keep(self) -> None:
        """What the Secrets hold now they hold for ever: passwords, keys, certificates."""
        found = secrets(self.api, self.name)
        for place, value in self._kept.items():
            if place[0] == "carol-password" and place not in found:
                continue  # goes with its Mailbox
            if place[1].endswith(".json"):
                continue  # a record of times
            assert found.get(place) == value, f"Secret {place[0]}: {place[1]} has changed"
        self._kept |= found

    # -- what has become of it

    def _await(self, wanted: State | None, right: Callable[[], bool]) -> State:
        """Until the world is as `wanted`, or, without it, still for five seconds. `right` is a cheap look before."""
        deadline = time.monotonic() + _PATIENCE
        before, since = None, time.monotonic()
        now: State = {}
        while time.monotonic() < deadline:
            self._tend()
            if not right():
                time.sleep(0.2)
                continue
            now = self._state()
            if now != before:
                before, since = now, time.monotonic()
            if now == wanted or (wanted is None and time.monotonic() - since > 5):
                self._keep()
                return now
            if wanted is not None and not self._started_again and _differ_in_the_trial_alone(now, wanted):
                self._start_again()
            time.sleep(0.4)
        found = differences(wanted, now or self._state()) if wanted is not None else ["it does not come to rest"]
        raise AssertionError("\n".join([f"{self.name} after {_PATIENCE:.0f} s:", *found[:20], self._tail()]))

    def _start_again(self) -> None:
        """What the server wrote for a trial whose sender was dead already, when the next one had looked, goes with the
        one after that."""
        assert self._process is not None
        self._process.kill()
        self._process.join()
        self._started_again = True
        self._start(None)

    def _state(self) -> State:
        return state(self.api, self.name, self.bucket, PREFIX)

    def _all_is_open(self) -> bool:
        found = self.api.listed(f"{OURS}/mailboxes", self.name)
        return all(_holds(raw, "Ready") for raw in found)

    def _carol_is_gone(self) -> bool:
        """She, her Secret, which the API server's collector takes away, and after GRACE her mail."""
        for kind, name in (("mailboxes", "carol"), ("secrets", "carol-password")):
            group = OURS if kind == "mailboxes" else "api/v1"
            if any(raw["metadata"]["name"] == name for raw in self.api.listed(f"{group}/{kind}", self.name)):
                return False
        return not self.bucket.versions(f"{PREFIX}/accounts/guest.test/carol/")

    def _sweep_again(self, wanted: State) -> None:
        """Two whole sweeps later it is the same: it was not passed by on the way to something else."""
        swept, deadline = len(self.lines("sweeps")), time.monotonic() + _PATIENCE
        while len(self.lines("sweeps")) < swept + 2 and time.monotonic() < deadline:
            self._tend()
            time.sleep(0.2)
        now = self._state()
        assert now == wanted, f"{self.name}, two sweeps later: {differences(wanted, now)}\n{self._tail()}"
        self._keep()

    def lines(self, name: str) -> list[str]:
        """Of a file in its folder."""
        file = self.folder / name
        return file.read_text().splitlines() if file.exists() else []

    def _tail(self) -> str:
        log = [line[:400] for line in self.lines("operator.log")[-15:]]
        written = [line for line in self.journal if kind_of(line) != "lease"]
        return "\n".join(["--- operator.log", *log, "--- journal", *written[-15:]])


def _differ_in_the_trial_alone(now: State, wanted: State) -> bool:
    kept = {key: data for key, data in now["bucket"].items() if not key.startswith(".mailpod/probe/")}
    return now != wanted and {**now, "bucket": kept} == wanted


def _holds(raw: Raw, type: str) -> bool:
    lines = raw.get("status", {}).get("conditions", [])
    return any(line["type"] == type and line["status"] == "True" for line in lines)
