"""The pytest fixtures `cluster` (one for the session) and `namespace` (one for each test), for tests marked `cluster`.

- Where KUBECONFIG is set, the suite runs on that cluster: nothing is built, and its nodes must have the images already.
- Each namespace enforces the `restricted` Pod Security level, and is deleted after its test.
- A failed test shows the pods, events and logs of the namespaces that it used.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.cluster import binaries, images, need
from tests.cluster import cluster as clusters
from tests.harness.need import missing

Manifests = str | dict[str, Any] | Sequence[dict[str, Any]]

RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
}


class Cluster:
    """A Kubernetes cluster with the project's images, as a test uses it."""

    def __init__(self, running: clusters.Running | None) -> None:
        self.running = running
        """Ours; None where KUBECONFIG names another's. With ours a test can also stop and start components."""
        self.mailpod = os.environ.get("MAILPOD_IMAGE", images.MAILPOD.reference)
        self.operator = os.environ.get("MAIL_OPERATOR_IMAGE", images.OPERATOR.reference)
        self.weed = os.environ.get("WEED_IMAGE", images.WEED.reference)
        self.image_values = [
            f"--set=images.operator={self.operator}",
            f"--set=images.pod={self.mailpod}",
            f"--set=images.trialS3={self.weed}",
        ]
        """For helm: `helm("install", "mailpod", "charts/mailpod", *cluster.image_values)`."""
        self.namespaces: list[str] = []
        self._numbers = itertools.count(1)
        self._run_id = secrets.token_hex(2)

    def command(self, *command: str | Path) -> list[str]:
        """`command` as it must be started to run where Services and cluster names are reached: for Popen."""
        return self.running.command(command) if self.running else [str(part) for part in command]

    def run(
        self, *command: str | Path, stdin: str | None = None, timeout: float = 120, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of this machine inside the cluster's network. Raises AssertionError with what it said."""
        done = subprocess.run(
            self.command(*command), input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, timeout: float = 180) -> str:
        """What kubectl prints. Raises AssertionError with its complaint."""
        return self.run("kubectl", *arguments, stdin=stdin, timeout=timeout).stdout

    def get(self, *arguments: str) -> dict[str, Any]:
        """`kubectl get … -o json`."""
        answer: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return answer

    def helm(self, *arguments: str | Path, timeout: float = 300) -> str:
        """What helm prints. Raises AssertionError with its complaint."""
        return self.run("helm", *arguments, timeout=timeout).stdout

    def apply(self, manifests: Manifests, *arguments: str) -> str:
        """Apply YAML, or objects: `apply(yaml, "-n", namespace)`."""
        if not isinstance(manifests, str):
            items = [manifests] if isinstance(manifests, dict) else list(manifests)
            manifests = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        return self.kubectl("apply", *arguments, "-f", "-", stdin=manifests)

    def namespace(self, prefix: str = "test", labels: dict[str, str] = RESTRICTED) -> str:
        """A fresh namespace; it is deleted when the session ends, or by `delete_namespace`."""
        name = f"{prefix}-{self._run_id}-{next(self._numbers)}"
        self.namespaces.append(name)
        metadata = {"name": name, "labels": labels}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        return name

    def delete_namespace(self, name: str) -> None:
        """Delete it, without waiting until all in it is gone."""
        self.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
        self.namespaces.remove(name)

    def wait_rollout(self, namespace: str, *what: str, timeout: float = 120) -> None:
        """Wait until Deployments or StatefulSets (`deployment/mail`) have all replicas ready."""
        for one in what:
            self.kubectl(
                "-n", namespace, "rollout", "status", one, f"--timeout={timeout:.0f}s", timeout=timeout + 10
            )  # fmt: skip

    def report(self) -> str:
        """What is to be seen of the namespaces: pods, events, and the ends of all containers' logs."""
        return "\n".join(self._report(name) for name in self.namespaces)

    def _report(self, namespace: str) -> str:
        def ask(*arguments: str) -> str:
            done = self.run("kubectl", "-n", namespace, *arguments, check=False)
            return done.stdout + done.stderr

        parts = [
            f"=== namespace {namespace}",
            ask("get", "pods,services,deployments,statefulsets,maildomains,mailboxes", "-o", "wide"),
            ask("get", "events", "--sort-by=.lastTimestamp"),
        ]
        pods = ask("get", "pods", "-o", "name").split()
        for pod in pods:
            parts += [f"--- {pod}", ask("logs", pod, "--all-containers", "--prefix", "--tail=40")]
            parts += [ask("logs", pod, "--all-containers", "--prefix", "--tail=40", "--previous")]
        return "\n".join(parts)


class Reporter:
    """A pytest plugin: a failed test that uses the cluster shows its state."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[None]:
        outcome: Any = yield
        report = outcome.get_result()
        if report.failed and "cluster" in getattr(item, "fixturenames", ()):
            report.sections.append(("the cluster", self.cluster.report()))


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The session's cluster, with the images `mailpod`, `mail-operator` and `weed`."""
    given = bool(os.environ.get("KUBECONFIG"))
    name = f"test-{os.getpid()}"
    used = Cluster(None if given else _start(name))
    reporter = Reporter(used)
    request.config.pluginmanager.register(reporter)
    try:
        yield used
    finally:
        request.config.pluginmanager.unregister(reporter)
        if given:
            for namespace in list(used.namespaces):
                used.delete_namespace(namespace)
        else:
            clusters.down(name)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own, under the `restricted` Pod Security level."""
    name = cluster.namespace()
    yield name
    cluster.delete_namespace(name)


def _start(name: str) -> clusters.Running:
    """Build what is not there, start, load. Skips, naming what is missing; with CI=true that fails."""
    for what in [*need.node(), *need.images(), *binaries.missing()]:
        missing(what)
    began = time.monotonic()
    archives = [images.build(image) for image in images.ALL]
    running = clusters.up(name, owned=True)
    ready = time.monotonic()
    for archive in archives:
        running.load(archive)
    print(f"the node was Ready after {ready - began:.0f} s, the images loaded {time.monotonic() - ready:.0f} s later")
    return running
