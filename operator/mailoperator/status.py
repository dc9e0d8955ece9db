"""Status: written whole, by one field manager, and only where it says something new (OPERATOR.md rules 1, 2 and 13)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from mailoperator.conditions import Condition, flipped, merged
from mailoperator.events import Events
from mailoperator.model_bounds import bounded

Raw: TypeAlias = dict[str, Any]


class StatusApi(Protocol):
    """What of Kube is needed."""

    async def apply_status(self, obj: Raw) -> Raw: ...


async def write_status(
    api: StatusApi, events: Events, raw: Raw, conditions: Sequence[Condition], fields: Raw, *, now: float
) -> Raw | None:
    """Bring the status of `raw` about; what the API server answered, None where nothing was to be written.

    Raises ApiError: 404 and 409 mean that the object is gone, or another one of that name.
    """
    metadata = raw["metadata"]
    generation, before = metadata.get("generation", 0), raw.get("status") or {}
    existing = before.get("conditions") or []
    status = {name: value for name, value in fields.items() if value not in (None, [], {}, "")}
    status["observedGeneration"] = generation
    status["conditions"] = merged(existing, conditions, generation=generation, now=now)
    status = bounded(raw["kind"], status)
    if _told(status) == _told(before):
        return None
    named = {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]}
    written = await api.apply_status(
        {"apiVersion": raw["apiVersion"], "kind": raw["kind"], "metadata": named, "status": status}
    )
    _tell(events, raw, flipped(existing, conditions), first=not existing)
    return written


def _told(status: Raw) -> Raw:
    """The status without times."""
    lines = [
        {name: value for name, value in line.items() if name != "lastTransitionTime"}
        for line in status.get("conditions") or []
    ]
    return {**status, "conditions": sorted(lines, key=lambda line: str(line.get("type")))}


def _tell(events: Events, raw: Raw, changed: Sequence[Condition], *, first: bool) -> None:
    """An Event for what turned good or bad; a first visit tells only what is bad, so that thousands tell nothing."""
    for condition in changed:
        if condition.status == "False":
            events.tell(raw, "Warning", condition.reason, f"{condition.type}: {condition.message}")
        elif condition.holds and not first:
            events.tell(raw, "Normal", condition.type, condition.message or f"{condition.type} is true")
