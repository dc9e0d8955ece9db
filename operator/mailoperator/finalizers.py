"""Finalizers: only where something must be closed or purged, or others would be left without a host (rule 6)."""

from __future__ import annotations

from typing import Any, Final, Protocol, TypeAlias

from mailoperator.kube import ApiError

Raw: TypeAlias = dict[str, Any]
PURGE: Final = "mailpod.dev/purge"  # a Mailbox whose mail goes with it
HOST: Final = "mailpod.dev/host"  # a MailDomain that serves others
_ATTEMPTS: Final = 5


class FinalizerApi(Protocol):
    """What of Kube is needed."""

    async def get(self, api_version: str, kind: str, namespace: str | None, name: str) -> Raw | None: ...
    async def merge(self, obj: Raw, patch: Raw) -> Raw: ...


async def set_finalizer(api: FinalizerApi, raw: Raw, finalizer: str, wanted: bool) -> Raw | None:
    """The object with, or without, one finalizer; None where it is gone. No write where it is so. Raises ApiError."""
    current: Raw | None = raw
    for attempt in range(_ATTEMPTS):
        if current is None or current["metadata"]["uid"] != raw["metadata"]["uid"]:
            return None
        metadata = current["metadata"]
        held = list(metadata.get("finalizers") or [])
        # the API server refuses a new finalizer on an object that is being deleted
        if (finalizer in held) == wanted or (wanted and metadata.get("deletionTimestamp")):
            return current
        kept = [*held, finalizer] if wanted else [name for name in held if name != finalizer]
        patch = {"metadata": {"finalizers": kept, "resourceVersion": metadata["resourceVersion"]}}
        try:
            return await api.merge(current, patch)
        except ApiError as error:
            if error.status == 404:
                return None
            if error.status != 409 or attempt == _ATTEMPTS - 1:
                raise
        current = await api.get(raw["apiVersion"], raw["kind"], metadata["namespace"], metadata["name"])
    return current
