"""The real operator as a process, against the real API server and a real bucket."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import yaml
from tests.apiserver.harness import ApiServer
from tests.fixtures_seaweed import Seaweed
from tests.harness.ports import free_port

Raw: TypeAlias = dict[str, Any]
API = "mailpod.dev/v1alpha1"


class OperatorRun:
    """`mail-operator run` in one namespace, with its settings in `folder`."""

    def __init__(self, server: ApiServer, bucket: Seaweed, namespace: str, folder: Path) -> None:
        self.server, self.bucket, self.namespace = server, bucket, namespace
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "operator.log"
        self.port = free_port()
        self._config = folder / "operator.yaml"
        self._config.write_text(yaml.safe_dump(self._settings()))
        self._process: subprocess.Popen[bytes] | None = None
        self._secret()

    def _settings(self) -> Raw:
        return {
            "namespace": self.namespace,
            "watchNamespaces": [self.namespace],
            "podName": f"operator-{self.namespace}",
            "podImage": "mailpod:test",
            "clusterUid": "test-cluster",
            "allowHttpHosts": ["127.0.0.1"],
            "leaseSeconds": 3,
            "sweepSeconds": 3600,
            "graceSeconds": 3600,
            "dnsChecks": False,
            "healthHost": "127.0.0.1",
            "healthPort": self.port,
            "defaultStorage": {
                "bucket": self.bucket.bucket,
                "endpoint": self.bucket.endpoint,
                "region": self.bucket.region,
                "credentialsSecretRef": {"name": "s3"},
            },
        }

    @property
    def _kubeconfig(self) -> Path:
        return self.server.kubeconfig

    def _secret(self) -> None:
        values = {"accessKeyID": self.bucket.access_key, "secretAccessKey": self.bucket.secret_key}
        self.server.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "s3", "namespace": self.namespace, "labels": {"mailpod.dev/use": "s3"}},
                "data": {name: base64.b64encode(value.encode()).decode() for name, value in values.items()},
            }
        )

    def start(self, **environment: str) -> OperatorRun:
        command = [sys.executable, "-m", "mailoperator.cli", "run", "--config", str(self._config)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", *command, "--kubeconfig", str(self._kubeconfig)],
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Its exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        status = self._process.wait(30)
        self._process = None
        return status

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> OperatorRun:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_running:
            self.stop(signal.SIGKILL)

    # what a person does

    def apply(self, *objects: Raw) -> None:
        self.server.apply(list(objects), "-n", self.namespace)

    def get(self, kind: str, name: str) -> Raw:
        return dict(json.loads(self.server.kubectl("get", kind, name, "-n", self.namespace, "-o", "json")))

    def listed(self, kind: str) -> list[Raw]:
        found = json.loads(self.server.kubectl("get", kind, "-n", self.namespace, "-o", "json"))
        return list(found["items"])

    def condition(self, kind: str, name: str, type: str) -> Raw:
        lines = self.get(kind, name).get("status", {}).get("conditions", [])
        return next((line for line in lines if line["type"] == type), {"status": "Absent", "reason": ""})

    def wait(self, what: str, true: Callable[[], bool], seconds: float = 150.0) -> float:
        """Seconds that it took."""
        start = time.monotonic()
        while not true():
            if time.monotonic() - start > seconds or not self.is_running:
                raise AssertionError(f"{what} is not so after {seconds:.0f} s\n{self.tail()}")
            time.sleep(0.1)
        return time.monotonic() - start

    def wait_ready(self, *names: str, kind: str = "mailbox", type: str = "Ready") -> None:
        for name in names:
            self.wait(f"{kind} {name} {type}", lambda name=name: self.condition(kind, name, type)["status"] == "True")  # type: ignore[misc]

    def writes(self, since: int = 0) -> list[Raw]:
        """Writes to this namespace by the operator, other than its Lease's and Events."""
        return [
            line
            for line in self.server.writes(since)
            if line.get("userAgent", "").startswith("mailpod-operator")
            and (line.get("objectRef") or {}).get("namespace") == self.namespace
            and line["objectRef"]["resource"] not in ("leases", "events")
        ]

    def quiet(self, seconds: float = 2.0) -> None:
        """Wait until the operator has written nothing for a while."""
        count, since = len(self.writes()), time.monotonic()
        while time.monotonic() - since < seconds:
            time.sleep(0.2)
            if len(self.writes()) != count:
                count, since = len(self.writes()), time.monotonic()

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])


def domain(name: str, domain_name: str, **spec: Any) -> Raw:
    return {
        "apiVersion": API,
        "kind": "MailDomain",
        "metadata": {"name": name},
        "spec": {"domainName": domain_name, **spec},
    }


def mailbox(name: str, domain: str, **spec: Any) -> Raw:
    return {
        "apiVersion": API,
        "kind": "Mailbox",
        "metadata": {"name": name},
        "spec": {"domainRef": {"name": domain}, **spec},
    }
