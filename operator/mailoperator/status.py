"""Status: written whole, by one field manager, and only where it says something new (OPERATOR.md rules 1, 2 and 13)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeAlias

from mailoperator.conditions import (
    AVAILABLE,
    DNS_READY,
    DOMAIN_NOT_READY,
    HOST_NOT_READY,
    NO_PODS_READY,
    READY,
    Condition,
    flipped,
    merged,
)
from mailoperator.events import Events
from mailoperator.model_bounds import bounded

Raw: TypeAlias = dict[str, Any]
_GOOD: Final = {READY: "mail is served", DNS_READY: "the DNS has all records", AVAILABLE: "pods are ready"}
"""What an Event says of a condition that turned good without a message."""
_WAITING: Final = frozenset({DOMAIN_NOT_READY, HOST_NOT_READY, NO_PODS_READY})
"""What is usual at first, and passes."""


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
    """An Event for what turned good or bad; a first visit tells only what is wrong, so that thousands tell nothing.

    Ready that turned good says it for all; turned bad it only repeats another condition, which is told.
    """
    ready = any(condition.type == READY and condition.holds for condition in changed)
    for condition in changed:
        if condition.status == "False" and condition.type != READY:
            if not (first and condition.reason in _WAITING):
                events.tell(raw, "Warning", condition.reason, f"{condition.type}: {condition.message}")
        elif condition.holds and not first and ready == (condition.type == READY):
            words = condition.message or _GOOD.get(condition.type, "as it should be")
            events.tell(raw, "Normal", condition.type, words)
