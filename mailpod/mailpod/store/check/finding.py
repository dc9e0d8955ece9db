"""What a check finds: a stable word for programs, and a sentence for the administrator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Severity: TypeAlias = Literal["damage", "garbage", "note"]
Repair: TypeAlias = Literal["", "checkpoint", "close", "clear", "restore"]
"""What mends it: "checkpoint", "close" and "clear" are done by --repair, "restore" is `mailpod restore`; "" nothing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be. `bytes` is the size of what is garbage."""

    kind: str
    severity: Severity
    object: str
    """Its key in the bucket, below the prefix; a folder ends with a slash."""
    effect: str
    account: str = ""
    """The address, where it concerns one."""
    repair: Repair = ""
    bytes: int = 0
    repaired: str = ""
    """What was done about it."""


Progress: TypeAlias = Callable[[float, str], None]
"""Told the share that is done, 0 to 1, and what is being looked at."""


def no_progress(done: float, what: str) -> None:
    """Nobody looks."""


@dataclass(slots=True)
class Findings:
    """Collected in the order in which they were found; one of a kind and object is kept once."""

    account: str = ""
    items: list[Finding] = field(default_factory=list)
    _seen: set[tuple[str, str, str]] = field(default_factory=set)

    def add(
        self, kind: str, key: str, effect: str, *, severity: Severity = "damage", repair: Repair = "", size: int = 0
    ) -> None:
        if (kind, key, effect) not in self._seen:
            self._seen.add((kind, key, effect))
            self.items.append(Finding(kind, severity, key, effect, self.account, repair, size))

    def damage(self, key: str, kind: str, effect: str, *, repair: Repair = "") -> None:
        self.add(kind, key, effect, repair=repair)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.items)

    @property
    def damaged(self) -> bool:
        return any(item.severity == "damage" for item in self.items)
