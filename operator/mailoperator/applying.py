"""Server-side apply that is left out where it would change nothing (OPERATOR.md rule 8).

Two things must hold to leave it out: the object carries the hash of this very intent, so nothing was dropped from it
since; and each field of the intent is there, so nobody changed one by hand.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

from mailoperator.kube import MANAGER, Raw

INTENT: Final = "mailpod.dev/intent"
_REPLICAS_MANAGER: Final = "mailpod-replicas"
_QUANTITY: Final = re.compile(r"(\d+(?:\.\d+)?)(m|k|[MGTPE]|[KMGTPE]i)?")
_FACTORS: Final[Mapping[str, Decimal]] = {"": Decimal(1), "m": Decimal("0.001"), "k": Decimal(1000)} | {
    letter + suffix: Decimal(base) ** power
    for power, letter in enumerate("KMGTPE", start=1)
    for suffix, base in (("i", 1024), ("", 1000))
    if letter + suffix != "K"
}
_MERGE_KEYS: Final = ("name", "mountPath", "containerPort", "port", "type", "topologyKey")


class Applier(Protocol):
    """What of Kube is needed."""

    async def get(self, api_version: str, kind: str, namespace: str | None, name: str) -> Raw | None: ...
    async def apply(self, obj: Raw, *, force: bool = True, manager: str = MANAGER) -> Raw: ...


def intent_hash(obj: Raw) -> str:
    return hashlib.sha256(json.dumps(obj, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def with_hash(obj: Raw) -> Raw:
    """The intent as it is applied, with the hash of itself."""
    metadata = obj["metadata"]
    annotations = {**(metadata.get("annotations") or {}), INTENT: intent_hash(obj)}
    return {**obj, "metadata": {**metadata, "annotations": annotations}}


def is_there(obj: Raw, live: Raw | None) -> bool:
    """Whether applying `obj` would change nothing on `live`."""
    return live is not None and not live["metadata"].get("deletionTimestamp") and contains(live, with_hash(obj))


def contains(live: Any, intent: Any) -> bool:
    """Whether every field of `intent` stands in `live`; quantities by their value, named lists by their names."""
    if intent in ({}, [], None, ""):
        return live in ({}, [], None, "") or isinstance(live, dict)
    if isinstance(intent, Mapping):
        return isinstance(live, Mapping) and all(contains(live.get(name), value) for name, value in intent.items())
    if isinstance(intent, Sequence) and not isinstance(intent, str):
        return isinstance(live, list) and _list_contains(live, intent)
    return bool(live == intent) or _same_quantity(live, intent)


def _list_contains(live: Sequence[Any], intent: Sequence[Any]) -> bool:
    for key in _MERGE_KEYS:
        if all(isinstance(item, Mapping) and key in item for item in [*live, *intent]):
            return all(any(item[key] == wanted[key] and contains(item, wanted) for item in live) for wanted in intent)
    return len(live) == len(intent) and all(map(contains, live, intent))


def _same_quantity(live: object, intent: object) -> bool:
    one, other = _quantity(live), _quantity(intent)
    return one is not None and one == other


def _quantity(value: object) -> Decimal | None:
    match = _QUANTITY.fullmatch(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    return Decimal(match[1]) * _FACTORS[match[2] or ""] if match else None


async def ensure(kube: Applier, obj: Raw, *, live: Raw | None = None) -> Raw:
    """Bring one object about, with no write where it is as it should be. `live`: as it is known to be, if it is.

    Raises ApiError. The object as it then is.
    """
    metadata = obj["metadata"]
    if live is None:
        live = await kube.get(obj["apiVersion"], obj["kind"], metadata.get("namespace"), metadata["name"])
    if live is not None and is_there(obj, live):
        return live
    if live is not None and _leaves_replicas(obj, live):
        await _hand_over_replicas(kube, live)
    return await kube.apply(with_hash(obj))


def _leaves_replicas(obj: Raw, live: Raw) -> bool:
    running = live.get("spec", {}).get("replicas")
    return obj["kind"] == "Deployment" and "replicas" not in obj["spec"] and running is not None


async def _hand_over_replicas(kube: Applier, live: Raw) -> None:
    """OPERATOR.md rule 36: a field that its only owner leaves out of an apply is reset to its default.

    So it goes to a manager that never applies again, and stays until the autoscaler changes it.
    """
    metadata = live["metadata"]
    fresh = await kube.get("apps/v1", "Deployment", metadata["namespace"], metadata["name"])
    if fresh is None or not any(map(_owns_replicas, fresh["metadata"].get("managedFields") or [])):
        return
    owned = {"name": metadata["name"], "namespace": metadata["namespace"], "uid": fresh["metadata"]["uid"]}
    kept = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": owned}
    await kube.apply({**kept, "spec": {"replicas": fresh["spec"]["replicas"]}}, manager=_REPLICAS_MANAGER)


def _owns_replicas(entry: Raw) -> bool:
    fields = (entry.get("fieldsV1") or {}).get("f:spec") or {}
    return entry.get("manager") == MANAGER and entry.get("operation") == "Apply" and "f:replicas" in fields
