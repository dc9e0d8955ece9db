"""TLS Secrets, watched by their type: a renewed certificate is packed at once, not with the next sweep.

kopf's watch of Secrets has the label that offers them (OPERATOR.md rule 31), which cert-manager does not set. This one
is told metadata alone, so that no private key comes here that no MailDomain names.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias

from mailoperator.kube import ApiError
from mailoperator.offered import TLS_TYPE
from mailoperator.world import TLS_SECRET, World, key_of
from mailpod.logs import event

Raw: TypeAlias = dict[str, Any]
_FIELDS: Final = f"type={TLS_TYPE}"
_AGAIN_SECONDS: Final = 5.0


class MetadataApi(Protocol):
    """What of Kube is needed."""

    async def list_metadata(
        self, api_version: str, kind: str, namespace: str | None, *, fields: str
    ) -> tuple[list[Raw], str]: ...
    def watch_metadata(
        self, api_version: str, kind: str, namespace: str | None, *, fields: str, since: str
    ) -> AsyncIterator[tuple[str, Raw]]: ...


async def watch_tls_secrets(
    kube: MetadataApi, world: World, see: Callable[[str | None, Raw], None], namespaces: Sequence[str]
) -> None:
    """For ever; `namespaces` empty is all of them. Without the right to it, certificates wait for the sweep."""
    async with asyncio.TaskGroup() as group:
        everywhere: list[str | None] = [None]
        for namespace in [*namespaces] or everywhere:
            group.create_task(_watch(kube, world, see, namespace))


async def _watch(
    kube: MetadataApi, world: World, see: Callable[[str | None, Raw], None], namespace: str | None
) -> None:
    while True:
        try:
            await _once(kube, world, see, namespace)
        except ApiError as error:
            event("tls_watch.failed", level="warning", namespace=namespace or "", error=str(error))
            await asyncio.sleep(_AGAIN_SECONDS)


async def _once(kube: MetadataApi, world: World, see: Callable[[str | None, Raw], None], namespace: str | None) -> None:
    """List, and follow until the API server ends it. Raises ApiError, also where what is to follow is too old."""
    found, since = await kube.list_metadata("v1", "Secret", namespace, fields=_FIELDS)
    there = {key_of(raw) for raw in found}
    for raw in found:
        see(None, _as_seen(raw))
    for key in world.keys(TLS_SECRET):
        if namespace in (None, key[0]) and key not in there and (gone := world.get(TLS_SECRET, key)):
            see("DELETED", gone)
    async for type, raw in kube.watch_metadata("v1", "Secret", namespace, fields=_FIELDS, since=since):
        see(type, _as_seen(raw))


def _as_seen(raw: Raw) -> Raw:
    return {"apiVersion": "v1", "kind": TLS_SECRET, "metadata": raw["metadata"]}
