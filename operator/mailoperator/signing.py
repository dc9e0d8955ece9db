"""The key that signs the directory: in a Secret of the operator's namespace, made once and never applied over."""

from __future__ import annotations

import base64
from typing import Any, Final, Protocol

from mailoperator.kube import ApiError
from mailpod.directory import new_signing_key

Raw = dict[str, Any]
KEY: Final = "signing.key"
_LENGTH: Final = 32


class KubeApi(Protocol):
    """What of Kube is needed."""

    async def get(self, api_version: str, kind: str, namespace: str | None, name: str) -> Raw | None: ...
    async def create(self, obj: Raw) -> Raw: ...


async def signing_key(kube: KubeApi, namespace: str, name: str) -> bytes:
    """The private key. Raises ApiError, and ValueError for a Secret that holds something else."""
    secret = await kube.get("v1", "Secret", namespace, name)
    if secret is None:
        made = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": "mailpod"}},
            "type": "Opaque",
            "data": {KEY: base64.b64encode(new_signing_key()).decode()},
        }
        try:
            secret = await kube.create(made)
        except ApiError as error:
            if error.status != 409:
                raise
            secret = await kube.get("v1", "Secret", namespace, name)  # another was faster
    try:
        key = base64.b64decode((secret or {})["data"][KEY], validate=True)
    except (KeyError, ValueError):
        key = b""
    if len(key) != _LENGTH:
        raise ValueError(f"Secret {namespace}/{name} has no {KEY} of {_LENGTH} bytes")
    return key
