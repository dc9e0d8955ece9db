"""What the operator is told: one mounted file of YAML (`/etc/mailpod/operator.yaml`) and its pod's environment.

Nothing here is a credential: those are Secrets, referred to by name. Unknown fields are errors.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from mailoperator.dkim import DkimSchedule

DEFAULT_FILE: Final = Path("/etc/mailpod/operator.yaml")
_ENVIRONMENT: Final = {  # variable -> field; the chart sets them by the downward API
    "MAILPOD_NAMESPACE": "namespace",
    "MAILPOD_POD_NAME": "pod_name",
    "MAILPOD_POD_IMAGE": "pod_image",
}


class OperatorSettings(BaseModel):
    """Settings of `mail-operator run`; durations are seconds."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    namespace: str = "mailpod-system"
    """Where the operator itself runs: its Lease and the signing key are there."""
    pod_name: str = Field(default_factory=lambda: f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}")
    """Who holds the Lease."""
    watch_namespaces: list[str] = []
    """Namespaces whose MailDomains are served; empty: all of them (which needs a ClusterRole)."""
    pod_image: str = "mailpod:latest"
    """The mail pods' image, where a MailDomain names none."""
    cluster_name: str = ""
    """Told in claims, for people."""
    cluster_uid: str = ""
    """Whose claims are ours; by default the UID of the Namespace `kube-system`, else of the operator's own."""
    default_storage: dict[str, Any] | None = None
    """`storage` of a MailDomain whose `server` names none, as its spec is written; the bucket's Secret is in the
    operator's namespace."""
    allow_http_hosts: list[str] = []
    """Hosts that a storage endpoint may name with http://, or inside the cluster."""
    signing_key_secret: str = "mailpod-signing-key"  # noqa: S105  a name
    """The Secret in the operator's namespace with the key that signs the directory; created where absent."""
    grace_seconds: Annotated[float, Field(gt=0)] = 86_400
    """GRACE of STORE.md: between the close of an account and its purge."""
    sweep_seconds: Annotated[float, Field(ge=1)] = 300
    """Between two sweeps: everything is listed and reconciled again."""
    resolver: str | None = None
    """HOST:PORT of the DNS server to check records with; by default the system's."""
    dns_checks: bool = True
    """Whether DNS records are looked up."""
    dkim: DkimSchedule = DkimSchedule()
    """When DKIM keys change."""
    workers: Annotated[int, Field(ge=1, le=256)] = 32
    """Reconciliations at a time."""
    lease_name: str = "mailpod-operator"
    lease_seconds: Annotated[int, Field(ge=3)] = 15
    """How long another waits after the holder was last seen to renew."""
    health_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """/livez, /readyz and /metrics; 0 is any."""
    health_host: str = "0.0.0.0"  # noqa: S104  in a pod
    trial: bool = False
    """The chart's trial S3 is used: said in conditions, so that nobody keeps mail in it."""


def load_settings(path: Path | None = None, environment: Mapping[str, str] | None = None) -> OperatorSettings:
    """The settings; a default file that is absent is empty. Raises OSError, ValueError."""
    written: dict[str, Any] = {}
    if path is not None or DEFAULT_FILE.exists():
        written = yaml.safe_load((path or DEFAULT_FILE).read_text(encoding="utf-8")) or {}
    environment = os.environ if environment is None else environment
    for variable, field in _ENVIRONMENT.items():
        if value := environment.get(variable):
            written.setdefault(to_camel(field), value)
    return OperatorSettings.model_validate(written)
