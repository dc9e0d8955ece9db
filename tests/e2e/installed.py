"""The chart installed on the test cluster, and what tests do with it: `Installation`.

- An installation serves its own namespace only, so that several can be in one cluster; with `everywhere` it has a
  ClusterRole and serves all namespaces, as the documentation's first command does, and must be alone.
- Cluster-wide are the custom resources' definitions (made by whoever comes first, brought up to date by the others) and
  the admission policy (one a release and namespace, bound to the namespaces that it serves).
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from tests.cluster.fixtures import Cluster, Manifests
from tests.harness.processes import wait_until

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "mailpod"
CRDS = ROOT / "crds"
INSIDE = Path(__file__).with_name("inside.py")
Object = dict[str, Any]
_DEFINITIONS = ("maildomains.mailpod.dev", "mailboxes.mailpod.dev")
STANDARD = {"smtp": 25, "submission": 587, "submissions": 465, "imap": 143, "imaps": 993, "pop3": 110, "pop3s": 995}
"""Port of each service at the Service's address; at a pod's own it is this plus 10000."""


@dataclass(slots=True)
class Figures:
    """What was measured, for the end of the run: lines of a title and a value."""

    lines: list[str] = field(default_factory=list)

    def say(self, what: str, value: str) -> None:
        self.lines.append(f"{what:68} {value}")
        print(self.lines[-1])

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Say how long the block took, where it succeeded."""
        began = time.monotonic()
        yield
        self.say(what, f"{time.monotonic() - began:6.1f} s")


FIGURES = Figures()
"""Of this run; `conftest.py` prints them when it ends."""


class Installation:
    """One release of charts/mailpod in a namespace of its own.

    `settings` are helm's: `Installation(cluster, "graceSeconds=20", "operator.sweepSeconds=5")`, values as JSON.
    """

    _living: ClassVar[list[Installation]] = []

    def __init__(
        self, cluster: Cluster, *settings: str, everywhere: bool = False, release: str = "mailpod", prefix: str = "mail"
    ) -> None:
        self.cluster = cluster
        self.release = release
        self.everywhere = everywhere
        self.settings: list[str] = list(settings)
        self.namespace = cluster.namespace(prefix)
        self.crds = False
        """Whether this release has the definitions."""

    @property
    def operator(self) -> str:
        """The operator's Deployment."""
        return f"{self.release}-operator" if "mailpod" in self.release else f"{self.release}-mailpod-operator"

    @property
    def s3(self) -> str:
        """The trial S3's Deployment, Service and Secret."""
        return f"{self.release}-s3"

    # -- helm

    def install(self, *, timeout: float = 240) -> Installation:
        """`helm install`, and wait for the operator and the trial S3; with the definitions where there are none."""
        alone = not any(other.everywhere or self.everywhere for other in Installation._living)
        assert alone, "one that serves all namespaces must be the only one"
        self.crds = all(self._absent("crd", name) for name in _DEFINITIONS)
        if not self.crds:
            self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", CRDS)
        self.cluster.helm("install", self.release, CHART, *self._flags())
        Installation._living.append(self)
        self.wait_operator(timeout)
        return self

    def upgrade(self, *settings: str, timeout: float = 240) -> None:
        """`helm upgrade` with these settings more, and wait for the operator."""
        self.settings += settings
        self.cluster.helm("upgrade", self.release, CHART, *self._flags())
        self.wait_operator(timeout)

    def uninstall(self) -> None:
        """`helm uninstall`; MailDomains, Mailboxes and their pods stay."""
        self.cluster.helm("uninstall", self.release, "--namespace", self.namespace, "--wait")
        Installation._living.remove(self)

    def end(self) -> None:
        """Nothing of it is left but the definitions: uninstall, and delete the namespace."""
        if self in Installation._living:
            for kind in ("mailbox", "maildomain"):  # while the operator lives to take their finalizers away
                self.kubectl("delete", kind, "--all", "--timeout=90s")
            self.uninstall()
        self.cluster.delete_namespace(self.namespace)

    def _flags(self) -> list[str]:
        settings = ["trialS3.enabled=true", *self.settings]
        if not self.everywhere:
            settings += [f'watchNamespaces=["{self.namespace}"]', "rbac.aggregate=false"]
        if not self.crds:
            settings.append("crds.enabled=false")
        flags = [part for setting in settings for part in ("--set-json", setting)]
        return ["--namespace", self.namespace, *self.cluster.image_values, *flags]

    def _absent(self, kind: str, name: str) -> bool:
        return not self.cluster.kubectl("get", kind, name, "--ignore-not-found", "-o", "name").strip()

    # -- the operator

    def wait_operator(self, timeout: float = 240) -> None:
        """Until the operator and, where there is one, the trial S3 have their pod ready."""
        deployments = [f"deployment/{self.operator}"]
        if not self._absent_here("deployment", self.s3):
            deployments.append(f"deployment/{self.s3}")
        self.cluster.wait_rollout(self.namespace, *deployments, timeout=timeout)

    def stop_operator(self) -> None:
        """Scale it to 0, and wait until its pod is gone."""
        self.kubectl("scale", f"deployment/{self.operator}", "--replicas=0")
        self.kubectl(
            "wait", "pod", "-l", "app.kubernetes.io/component=operator", "--for=delete", "--timeout=90s"
        )  # fmt: skip

    def start_operator(self) -> None:
        """Scale it to 1, and wait until it is ready."""
        self.kubectl("scale", f"deployment/{self.operator}", "--replicas=1")
        self.wait_operator()

    # -- objects

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, timeout: float = 180) -> str:
        """What kubectl prints, in the installation's namespace. Raises AssertionError with its complaint."""
        return self.cluster.kubectl("-n", self.namespace, *arguments, stdin=stdin, timeout=timeout)

    def get(self, *arguments: str) -> Object:
        """`kubectl get … -o json`, in its namespace."""
        answer: Object = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return answer

    def apply(self, manifests: Manifests | Path) -> str:
        """Apply YAML, objects, or a folder of files."""
        if isinstance(manifests, Path):
            return self.kubectl("apply", "-f", manifests)
        return self.cluster.apply(manifests, "-n", self.namespace)

    def wait_ready(self, kind: str, *names: str, timeout: float = 180) -> None:
        """`kubectl wait --for=condition=Ready`; `kind` is maildomain or mailbox. Raises AssertionError."""
        objects = [f"{kind}/{name}" for name in names]
        self.kubectl("wait", "--for=condition=Ready", f"--timeout={timeout:.0f}s", *objects, timeout=timeout + 15)

    def wait_served(self, domain: str, timeout: float = 60) -> None:
        """Until a MailDomain is Ready and its Service takes connections: kube-proxy comes to know of a pod later."""
        self.wait_ready("maildomain", domain)
        there = {"host": self.host(domain), "port": STANDARD["smtp"]}
        wait_until(lambda: self.ask("reached", **there)["reached"], timeout, f"{there['host']} takes connections", 0.5)

    def password(self, mailbox: str) -> str:
        """What the Secret that the Mailbox's status names has."""
        secret = self.get("mailbox", mailbox)["status"]["passwordSecretName"]
        return base64.b64decode(self.get("secret", secret)["data"]["password"]).decode()

    def host(self, service: str) -> str:
        """A Service's name, as everything inside the cluster's network resolves it."""
        return f"{service}.{self.namespace}.svc.cluster.local"

    def address(self, service: str) -> str:
        """A Service's ClusterIP."""
        return str(self.get("service", service)["spec"]["clusterIP"])

    def pods(self, domain: str) -> dict[str, str]:
        """Ready mail pods of a MailDomain that are not being deleted, and their IPs."""
        labels = self.get("maildomain", domain)["status"]["selector"]
        return {
            pod["metadata"]["name"]: pod["status"]["podIP"]
            for pod in self.get("pods", "-l", labels)["items"]
            if not pod["metadata"].get("deletionTimestamp") and _ready(pod)
        }

    def trial_keys(self) -> tuple[str, str]:
        """Access key and secret key of the trial S3."""
        data = self.get("secret", self.s3)["data"]
        return tuple(base64.b64decode(data[key]).decode() for key in ("accessKeyID", "secretAccessKey"))  # type: ignore[return-value]

    def ask(self, do: str, **job: Any) -> Object:
        """A job of `inside.py`, done inside the cluster's network: `ask("login", host=…, port=…, …)`."""
        said = self.program(sys.executable, INSIDE, stdin=json.dumps({"do": do, **job}))
        answer: Object = json.loads(said)
        return answer

    def objects(self, prefix: str = "") -> Object:
        """`objects`, `versions` and `markers` (keys) in the trial S3's bucket."""
        access, secret = self.trial_keys()
        place = {"endpoint": f"http://{self.host(self.s3)}:8333", "bucket": "mailpod", "prefix": prefix}
        return self.ask("versions", access=access, secret=secret, **place)

    def _absent_here(self, kind: str, name: str) -> bool:
        return not self.kubectl("get", kind, name, "--ignore-not-found", "-o", "name").strip()

    def program(self, *command: str | Path, stdin: str | None = None, timeout: float = 120) -> str:
        """What a program of this machine prints inside the cluster's network. Raises AssertionError with its words."""
        return self.cluster.run(*command, stdin=stdin, timeout=timeout).stdout


def _ready(pod: Object) -> bool:
    return any(line["type"] == "Ready" and line["status"] == "True" for line in pod["status"].get("conditions", []))


def domain(name: str, domain_name: str, *, replicas: int = 1, host: str = "", **spec: Any) -> Object:
    """A MailDomain with pods of its own, or served by the MailDomain `host`; further fields of `spec` as keywords."""
    serving: Object = {"servedByRef": {"name": host}} if host else {"server": {"replicas": replicas}}
    content = {"domainName": domain_name, "tls": {"selfSigned": {}}, **serving, **spec}
    return {"apiVersion": "mailpod.dev/v1alpha1", "kind": "MailDomain", "metadata": {"name": name}, "spec": content}


def mailbox(name: str, of: str, **spec: Any) -> Object:
    """A Mailbox of the MailDomain `of`; further fields of `spec` as keywords."""
    content = {"domainRef": {"name": of}, **spec}
    return {"apiVersion": "mailpod.dev/v1alpha1", "kind": "Mailbox", "metadata": {"name": name}, "spec": content}


def ready(obj: Object) -> bool:
    """Whether an object's condition Ready is True."""
    conditions: Sequence[Object] = (obj.get("status") or {}).get("conditions") or []
    return any(line["type"] == "Ready" and line["status"] == "True" for line in conditions)
