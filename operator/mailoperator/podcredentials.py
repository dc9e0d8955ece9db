"""The Secret that a host's pods mount: the bucket's credentials."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Protocol

from mailoperator import conditions as c
from mailoperator.conditions import bad
from mailoperator.context import StorageFailed
from mailoperator.credentials import FILE_KEY, Credentials
from mailoperator.kube import MANAGER
from mailoperator.model import MailDomain

Raw = dict[str, Any]


class KubeApi(Protocol):
    """What of Kube is needed."""

    async def get(self, api_version: str, kind: str, namespace: str | None, name: str) -> Raw | None: ...
    async def apply(self, obj: Raw, *, force: bool = True, manager: str = MANAGER) -> Raw: ...


async def give_to_pods(kube: KubeApi, host: MailDomain, credentials: Credentials | None) -> str | None:
    """The Secret that the pods mount: the credentials as a file, whatever the form of those that were given.

    Its name; None where the pods have an identity of their own. Raises StorageFailed, ApiError.
    """
    if credentials is None:
        return None
    name = f"{host.metadata.name}-bucket"
    written = base64.b64encode((credentials.pods or credentials).file().encode()).decode()
    there = await kube.get("v1", "Secret", host.metadata.namespace, name)
    owners = [ref.get("uid") for ref in (there or {}).get("metadata", {}).get("ownerReferences", [])]
    if there is not None and host.metadata.uid not in owners:
        words = f"Secret {name}, which the pods' credentials go into, exists and is not Mailpod's"
        raise StorageFailed(bad(c.STORAGE_READY, c.SECRET_NAME_TAKEN, words))
    if there is None or (there.get("data") or {}).get(FILE_KEY) != written:
        await kube.apply(_secret(host, name, {FILE_KEY: written}))
    return name


def _secret(host: MailDomain, name: str, data: Mapping[str, str]) -> Raw:
    metadata = host.metadata
    owner = {"apiVersion": host.api_version, "kind": host.kind, "name": metadata.name, "uid": metadata.uid}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": metadata.namespace,
            "labels": {"app.kubernetes.io/managed-by": "mailpod"},
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": False}],
        },
        "type": "Opaque",
        "data": dict(data),
    }
