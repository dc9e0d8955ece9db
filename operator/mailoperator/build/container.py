"""The mail pods' container: what it may do, how it is watched, and how it ends.

It runs under the Pod Security level `restricted`, writes no file, and reads its secrets from mounted ones.
"""

from __future__ import annotations

from typing import Any, Final

from mailoperator.build import listeners, names
from mailoperator.build.configmap import FILE, settings_text
from mailoperator.build.inputs import BuildInputs, Object
from mailoperator.build.podsettings import CLOSE_SECONDS, CONFIG, CREDENTIALS, DRAIN_SECONDS, KEYS, SMARTHOST
from mailoperator.build.sending import smarthost_secret
from mailoperator.build.server import behind_proxy, resources_of, server_of, takes_lmtp
from mailoperator.model import MailDomain
from mailpod.config import EXPECTED, digest

NAME: Final = "mailpod"
USER: Final = 65532  # as in docker/pod.Dockerfile; a name would not do for runAsNonRoot
PRE_STOP_SECONDS: Final = 5
"""Still serving while kube-proxies and load balancers learn that the pod goes."""
TERMINATION_SECONDS: Final = PRE_STOP_SECONDS + DRAIN_SECONDS + CLOSE_SECONDS + 6
_READABLE: Final = 0o440  # by the pod's group alone


def build_container(domain: MailDomain, inputs: BuildInputs) -> Object:
    container: Object = {
        "name": NAME,
        "image": server_of(domain).image or inputs.image,
        "args": ["serve", "--config", str(CONFIG / FILE), "--name", "$(POD_NAME)"],
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": EXPECTED, "value": digest(settings_text(domain, inputs).encode())},
        ],
        "ports": container_ports(domain),
        "resources": resources_of(domain),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        "volumeMounts": _mounts(domain, inputs),
        **_probes(),
    }
    if inputs.image_pull_policy:
        container["imagePullPolicy"] = inputs.image_pull_policy
    return container


def container_ports(domain: MailDomain) -> list[Object]:
    ports = listeners.inside(proxied=behind_proxy(domain))
    mail = [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in ports.items()]
    if takes_lmtp(domain):
        mail.append({"name": listeners.LMTP.name, "containerPort": listeners.LMTP.inside, "protocol": "TCP"})
    http = {"name": "http", "containerPort": listeners.HTTP, "protocol": "TCP"}
    hints = {"name": "hints", "containerPort": listeners.HINTS, "protocol": "UDP"}
    return [*mail, http, hints]


def build_volumes(domain: MailDomain, inputs: BuildInputs) -> list[Object]:
    volumes: list[Object] = [{"name": "config", "configMap": {"name": names.config(domain)}}]
    if inputs.bucket.credentials_secret:
        credentials = {
            "secretName": inputs.bucket.credentials_secret,
            "defaultMode": _READABLE,
            "items": [{"key": CREDENTIALS.name, "path": CREDENTIALS.name}],
        }
        volumes.append({"name": "bucket", "secret": credentials})
    if smarthost := smarthost_secret(domain.spec.outbound):
        files = [{"key": key, "path": key} for key in ("username", "password")]
        volumes.append(
            {"name": "smarthost", "secret": {"secretName": smarthost, "defaultMode": _READABLE, "items": files}}
        )
    return volumes + [_key_volume(domain, number) for number in range(names.KEY_SECRETS)]


def _key_volume(domain: MailDomain, number: int) -> Object:
    """All sixteen from the first day: a volume added later would restart the pods (OPERATOR.md rule 35)."""
    secret = {"secretName": names.key_secret(domain, number), "optional": True, "defaultMode": _READABLE}
    return {"name": f"keys-{number:02d}", "secret": secret}


def _mounts(domain: MailDomain, inputs: BuildInputs) -> list[Object]:
    """Whole folders: a subPath would never see a Secret change."""
    mounts: list[Object] = [{"name": "config", "mountPath": str(CONFIG), "readOnly": True}]
    if inputs.bucket.credentials_secret:
        mounts.append({"name": "bucket", "mountPath": str(CREDENTIALS.parent), "readOnly": True})
    if smarthost_secret(domain.spec.outbound):
        mounts.append({"name": "smarthost", "mountPath": str(SMARTHOST), "readOnly": True})
    numbers = [f"{number:02d}" for number in range(names.KEY_SECRETS)]
    return mounts + [{"name": f"keys-{n}", "mountPath": str(KEYS / n), "readOnly": True} for n in numbers]


def _probes() -> dict[str, Any]:
    """Liveness is slow to judge: a restart cuts every session of the pod, and mends little that a drain would not."""
    alive = {"httpGet": {"path": "/healthz", "port": "http"}}
    ready = {"httpGet": {"path": "/readyz", "port": "http"}}
    return {
        "startupProbe": {**alive, "periodSeconds": 1, "timeoutSeconds": 3, "failureThreshold": 60},
        "livenessProbe": {**alive, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
        "readinessProbe": {**ready, "periodSeconds": 5, "timeoutSeconds": 3, "failureThreshold": 2},
    }
