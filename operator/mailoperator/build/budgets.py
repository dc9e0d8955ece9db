"""A pod's memory budgets for its memory limit: the kernel must never be the one who enforces it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from mailoperator.quantity import parse_quantity
from mailpod.config import PodSettings

MiB: Final = 1 << 20
DEFAULT_RESOURCES: Final[dict[str, dict[str, str]]] = {
    "requests": {"cpu": "100m", "memory": "256Mi"},
    "limits": {"memory": "1Gi"},
}
_FULL: Final = 1 << 30  # what the pod's own defaults are made for
_SMALLEST: Final = 16 * MiB


@dataclass(frozen=True, slots=True)
class Budgets:
    """Bytes; PodSettings and StoreSettings say what each is for."""

    messages: int
    pages: int
    bodies: int
    postings: int
    texts: int


def budgets(resources: dict[str, Any]) -> Budgets:
    """The defaults up from 1 GiB or without a limit; below it, the same share of what is there."""
    ours = PodSettings.model_fields["message_budget_bytes"].default
    store = PodSettings.model_fields["store"].default
    share = min(1.0, _limit(resources) / _FULL)

    def part(whole: int) -> int:
        return max(_SMALLEST, int(whole * share) // MiB * MiB)

    return Budgets(
        part(ours),
        part(store.page_cache_bytes),
        part(store.body_cache_bytes),
        part(store.search_cache_bytes),
        part(store.search_text_bytes),
    )


def _limit(resources: dict[str, Any]) -> int:
    try:
        return parse_quantity(resources["limits"]["memory"])
    except (KeyError, ValueError):  # none, or one in a unit that is not for memory
        return _FULL
