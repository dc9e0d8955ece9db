"""A real API server of one's own, without nodes: etcd, kube-apiserver and kube-controller-manager on free ports.

    with ApiServer(folder) as server:
        server.kubectl("apply", "-f", "crds/")

- What the API server decides is tested here: schemas, CEL, apply, finalizers, garbage collection, status, RBAC.
- No node: pods stay Pending. For what needs one there is `tests/cluster`.
- No root is needed; the programs are the test cluster's, built once.
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.request import Request, urlopen

from tests.cluster import binaries
from tests.cluster.components import ControlPlane
from tests.harness.ports import free_ports

_READY = 60.0  # seconds; it takes three


class ApiServer:
    """One control plane in a folder. `start()` returns when it takes requests and its controllers run."""

    def __init__(self, folder: Path) -> None:
        self._programs = binaries.build(binaries.CONTROL_PLANE)
        self.folder = folder
        (folder / "bin").mkdir(parents=True)
        for name, path in self._programs.items():
            (folder / "bin" / name).symlink_to(path)
        port, etcd, peer = free_ports(3)
        self.plane = ControlPlane(folder, folder / "bin", "127.0.0.1", port, etcd, peer)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def kubeconfig(self) -> Path:
        """Of a user who may do everything."""
        return self.folder / "admin.kubeconfig"

    @property
    def url(self) -> str:
        return self.plane.url

    def start(self) -> ApiServer:
        self.plane.prepare()
        self._start("etcd", self.plane.etcd())
        self.start_apiserver()
        self.plane.write_kubeconfigs()
        self._start("kube-controller-manager", self.plane.controller_manager())
        self._wait("the controllers", self._controllers_run)
        return self

    def stop(self) -> None:
        for name in reversed(list(self._processes)):
            self._kill(name)

    def start_apiserver(self) -> None:
        """Start kube-apiserver, on the state that an earlier one left, and wait until it takes requests."""
        self._start("kube-apiserver", self.plane.apiserver())
        self._wait("the API server", lambda: self.get("/readyz") == b"ok")

    def stop_apiserver(self) -> None:
        """Kill kube-apiserver: watches are cut, and nothing answers."""
        self._kill("kube-apiserver")

    def pause_apiserver(self) -> None:
        """It stands still, with connections open, until `resume_apiserver()`."""
        self._processes["kube-apiserver"].send_signal(signal.SIGSTOP)

    def resume_apiserver(self) -> None:
        self._processes["kube-apiserver"].send_signal(signal.SIGCONT)

    def get(self, path: str) -> bytes:
        """A GET as administrator."""
        request = Request(self.url + path, headers={"Authorization": f"Bearer {self.plane.token}"})
        trust = ssl.create_default_context(cafile=str(self.plane.certificate))
        with urlopen(request, timeout=5, context=trust) as answer:
            data: bytes = answer.read()
            return data

    def kubectl(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """What kubectl prints. Raises AssertionError with its complaint."""
        done = self.try_kubectl(*arguments, stdin=stdin)
        if done.returncode:
            raise AssertionError(f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def try_kubectl(self, *arguments: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """kubectl, whatever its outcome."""
        command = [self.folder / "bin" / "kubectl", f"--kubeconfig={self.kubeconfig}", *arguments]
        environment = {**os.environ, "KUBECACHEDIR": str(self.folder / "kubectl")}
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, env=environment)

    def apply(self, manifests: str | dict[str, Any] | Sequence[dict[str, Any]], *arguments: str) -> str:
        """Apply YAML, or objects."""
        return self.kubectl("apply", *arguments, "-f", "-", stdin=_text(manifests))

    def refusal(self, manifests: str | dict[str, Any] | Sequence[dict[str, Any]]) -> str:
        """The API server's words on manifests that it must refuse."""
        done = self.try_kubectl("apply", "-f", "-", stdin=_text(manifests))
        assert done.returncode, f"it took them: {done.stdout}"
        return done.stderr

    def writes(self, since: int = 0) -> list[dict[str, Any]]:
        """The audited writes (user, verb, object …), from the number `since` on; leases and events are among them."""
        return [json.loads(line) for line in self.plane.audit_log.read_text().splitlines()[since:]]

    def log_tail(self) -> str:
        """The ends of all components' logs."""
        return "\n".join(f"--- {path.name}\n{_tail(path)}" for path in sorted(self.folder.glob("*.log")))

    def __enter__(self) -> ApiServer:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self, name: str, command: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", *command],  # it never outlives the test run
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )

    def _kill(self, name: str) -> None:
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def _controllers_run(self) -> bool:
        """The default ServiceAccount is made by a controller."""
        return bool(self.get("/api/v1/namespaces/default/serviceaccounts/default"))

    def _wait(self, what: str, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _READY
        while time.monotonic() < deadline:
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{name} ended:\n{_tail(self.folder / f'{name}.log')}")
            try:
                if true():
                    return
            except OSError:  # URLError, HTTPError and a certificate that is not there yet are all of it
                pass
            time.sleep(0.05)
        raise RuntimeError(f"{what} was not ready after {_READY:.0f} s\n{self.log_tail()}")


def _text(manifests: str | dict[str, Any] | Sequence[dict[str, Any]]) -> str:
    if isinstance(manifests, str):
        return manifests
    items = [manifests] if isinstance(manifests, dict) else list(manifests)
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-15:]) if path.exists() else ""
