"""Every change of a server's pods as the API server tells it, so that no moment between two looks is missed."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import quote

from tests.e2e.installed import Installation


@dataclass(slots=True)
class Pod:
    """`ready` is not one that is being deleted."""

    uid: str
    hash: str
    ready: bool
    deleting: bool
    restarts: int


@dataclass
class PodWatch:
    """Follows the pods with these labels from `with` on."""

    installation: Installation
    labels: str
    pods: dict[str, Pod] = field(default_factory=dict)
    """By name, as they are now."""
    ready: list[tuple[float, int]] = field(default_factory=list)
    """How many were ready, from each moment on (time.monotonic)."""
    seen: set[str] = field(default_factory=set)
    """UIDs of all that there ever were."""

    def __enter__(self) -> PodWatch:
        path = f"/api/v1/namespaces/{self.installation.namespace}/pods?watch=1&labelSelector={quote(self.labels)}"
        command = self.installation.cluster.command("kubectl", "get", "--raw", path)
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(10)

    def living(self) -> list[str]:
        """Names of those that nobody has deleted yet."""
        self._alive()
        return sorted(name for name, pod in self.pods.items() if not pod.deleting)

    def all_ready(self, count: int, *, template: str = "") -> bool:
        """Whether there are so many, all ready; with `template`, none of that template hash."""
        self._alive()
        living = [pod for pod in self.pods.values() if not pod.deleting]
        return len(living) == count and all(pod.ready and pod.hash != template for pod in living)

    def restarted(self) -> list[str]:
        """Those of the living whose container was started again."""
        return [name for name, pod in self.pods.items() if not pod.deleting and pod.restarts]

    def templates(self) -> set[str]:
        """Template hashes of the living."""
        return {pod.hash for pod in self.pods.values() if not pod.deleting}

    def fewest(self, since: float, until: float | None = None) -> int:
        """The smallest number that was ready at any moment of that time."""
        before = [count for moment, count in self.ready if moment <= since][-1:]
        return min(before + [count for moment, count in self.ready if since < moment <= (until or moment)])

    def _alive(self) -> None:
        assert self._thread.is_alive(), "the watch of the pods ended"

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            self._see(event["type"], event["object"])

    def _see(self, event: str, raw: dict[str, Any]) -> None:
        metadata, status = raw["metadata"], raw.get("status", {})
        conditions = {line["type"]: line["status"] for line in status.get("conditions", [])}
        deleting = "deletionTimestamp" in metadata
        pod = Pod(
            uid=metadata["uid"],
            hash=metadata["labels"].get("pod-template-hash", ""),
            ready=conditions.get("Ready") == "True" and not deleting,
            deleting=deleting,
            restarts=sum(one["restartCount"] for one in status.get("containerStatuses", [])),
        )
        self.seen.add(pod.uid)
        if event == "DELETED":
            self.pods.pop(metadata["name"], None)
        else:
            self.pods[metadata["name"]] = pod
        count = sum(one.ready for one in self.pods.values())
        if not self.ready or self.ready[-1][1] != count:
            self.ready.append((time.monotonic(), count))
