"""Thousands of objects on the cluster: applied, waited for, and what the operator wrote and used for them."""

from __future__ import annotations

import base64
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.e2e.installed import Installation, Object, ready

INSIDE = Path(__file__).with_name("many_inside.py")
API = "/apis/mailpod.dev/v1alpha1"
_APPLYING = 4  # kubectl processes: each sends at most 50 requests a second


def until(what: str, true: Callable[[], Any], seconds: float, every: float = 1.0) -> Any:
    """What `true` returned when it was true. Raises AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"{what}: not after {seconds:.0f} s"
        time.sleep(every)
    return found


class Many:
    """An installation, as these tests look at it."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.namespace = installation.namespace
        self.peak = 0.0
        """The operator's resident memory in MiB, the most that was seen."""

    # -- what a person does

    def apply(self, objects: Sequence[Object]) -> None:
        """`kubectl apply --server-side`, by several at a time."""

        def one(part: Sequence[Object]) -> None:
            text = json.dumps({"apiVersion": "v1", "kind": "List", "items": part})
            self.installation.kubectl("apply", "--server-side", "-f", "-", stdin=text, timeout=600)

        with ThreadPoolExecutor(_APPLYING) as pool:
            list(pool.map(one, [objects[start::_APPLYING] for start in range(_APPLYING)]))

    def delete(self, kind: str, names: Sequence[str]) -> None:
        """At once, without waiting that they are gone."""
        self.installation.kubectl("delete", kind, *names, "--wait=false", timeout=600)

    def delete_all(self, plural: str) -> None:
        """All of the namespace, by one request, and wait until they are gone."""
        path = f"{API}/namespaces/{self.namespace}/{plural}"
        self.installation.kubectl("delete", "--raw", path, timeout=600)
        until(f"no {plural}", lambda: not self.all(plural), 300)

    def all(self, plural: str) -> dict[str, Object]:
        """`maildomains` or `mailboxes` of the namespace, by name."""
        path = f"{API}/namespaces/{self.namespace}/{plural}"
        return {item["metadata"]["name"]: item for item in self._listed(path)}

    def wait_all_ready(self, plural: str, count: int, seconds: float) -> None:
        """Until `count` are there and Ready; the operator's memory is looked at meanwhile."""

        def all_ready() -> bool:
            self.peak = max(self.peak, self.memory())
            found = list(map(ready, self.all(plural).values()))
            return len(found) >= count and all(found)

        until(f"{count} {plural} Ready", all_ready, seconds)

    def passwords(self, names: Sequence[str]) -> dict[str, str]:
        """By a Mailbox's name, from the Secrets that were generated."""
        secrets = {
            item["metadata"]["name"]: item for item in self._listed(f"/api/v1/namespaces/{self.namespace}/secrets")
        }
        return {
            name: base64.b64decode(secrets[f"{name}-password"]["data"]["password"]).decode() for name in names
        }  # fmt: skip

    def _listed(self, path: str) -> list[Object]:
        found: list[Object] = json.loads(self.installation.cluster.kubectl("get", "--raw", path))["items"]
        return found

    # -- the operator

    def ask(self, do: str, *, timeout: float = 300, **job: Any) -> Object:
        """A job of `many_inside.py`."""
        said = self.installation.program(
            sys.executable, INSIDE, stdin=json.dumps({"do": do, **job}), timeout=timeout
        )  # fmt: skip
        answer: Object = json.loads(said)
        return answer

    def metrics(self) -> dict[str, float]:
        """The operator's."""
        pods = self.installation.get("pods", "-l", "app.kubernetes.io/component=operator")["items"]
        (address,) = [pod["status"]["podIP"] for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        return self.ask("metrics", host=address, port=8080)

    def memory(self) -> float:
        """Resident, in MiB."""
        return self.metrics()["process_resident_memory_bytes"] / 2**20

    def restart_operator(self) -> None:
        """A new process."""
        self.installation.stop_operator()
        self.installation.start_operator()

    def sweep(self, host: str) -> float:
        """Have all of a host looked at, its directory too, and wait until that is done. The seconds that it took."""
        began, before = time.monotonic(), _compared(self.metrics())
        self.installation.kubectl(
            "annotate", "maildomain", host, f"mailpod.dev/reconcile-at={time.time_ns()}", "--overwrite"
        )  # fmt: skip
        self.wait_settled(lambda metrics: _compared(metrics) > before)
        return time.monotonic() - began

    def wait_settled(self, also: Callable[[dict[str, float]], bool] = lambda metrics: True) -> None:
        """Until the operator has swept, and nothing is due."""

        def settled() -> bool:
            metrics = self.metrics()
            swept = metrics.get("mailpod_operator_sweeps_total", 0) >= 1 and metrics["mailpod_operator_queue"] == 0
            return swept and also(metrics)

        until("the operator has nothing to do", settled, 300, 0.5)

    # -- what it wrote

    def bucket(self) -> dict[str, list[str]]:
        """ETag and time of every object."""
        return self.ask("listing", **self._place())

    def plant(self, key: str, text: str) -> None:
        """Put an object where nobody but the operator should."""
        self.ask("plant", key=key, text=text, **self._place())

    def _place(self) -> dict[str, str]:
        access, secret = self.installation.trial_keys()
        endpoint = f"http://{self.installation.host(self.installation.s3)}:8333"
        return {"endpoint": endpoint, "bucket": "mailpod", "access": access, "secret": secret}

    def versions(self) -> dict[str, str]:
        """What the API server counts of each object that the operator may write, by kind and name."""
        kinds = "maildomains,mailboxes,secrets,configmaps,services,deployments,poddisruptionbudgets,serviceaccounts"
        items = self.installation.get(kinds)["items"]
        return {f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"] for item in items}

    def audited(self, since: int = 0) -> Counter[str]:
        """Writes that the API server was asked for by the operator, other than its Lease's and Events, from a place in
        the audit log on. Empty on a cluster that is not ours.
        """
        return Counter(_what(line) for line in self._audit_lines(since) if self._is_operators(line))

    def audit_place(self) -> int:
        """Where the audit log ends now."""
        running = self.installation.cluster.running
        return (running.folder / "audit.log").stat().st_size if running else 0

    def _audit_lines(self, since: int) -> Iterator[Object]:
        running = self.installation.cluster.running
        if running is None:
            return
        with (running.folder / "audit.log").open("rb") as log:
            log.seek(since)
            for line in log:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def _is_operators(self, line: Object) -> bool:
        where = line.get("objectRef") or {}
        return (
            line.get("userAgent", "").startswith("mailpod-operator")
            and where.get("namespace") == self.namespace
            and where["resource"] not in ("leases", "events")
        )


def _what(line: Object) -> str:
    where = line["objectRef"]
    return f"{line['verb']} {where['resource']}{'/' + where['subresource'] if where.get('subresource') else ''}"


def _compared(metrics: dict[str, float]) -> float:
    return metrics.get('mailpod_operator_reconciled_total{kind="Directory",outcome="done"}', 0)


def password_secret(name: str, password: str) -> Object:
    """A generated password's Secret with another password, as a person applies it."""
    data = {"password": base64.b64encode(password.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{name}-password"}, "data": data}
