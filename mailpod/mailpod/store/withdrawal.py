"""When an entry that nobody wants any more goes: pure decisions (OPERATOR.md rule 34).

- What a comparison no longer finds an owner for is first orphaned (pods answer 451), and withdrawn 15 minutes later.
- A comparison that misses many at once does nothing at all until a person approves of exactly these: a short LIST
  must not empty a directory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

ORPHAN_SECONDS: Final = 15 * 60
_AT_LEAST: Final = 5
_SHARE: Final = 10  # percent


@dataclass(frozen=True, slots=True)
class Brake:
    """A comparison that stopped. `approval` is what a person gives back to let exactly these entries go."""

    missing: int
    present: int
    approval: str

    def __str__(self) -> str:
        return (
            f"{self.missing} of {self.present} published entries have no owner any more, which is more than"
            f" {_SHARE} %; nothing is published until that is approved: {self.approval}"
        )


def brake(missing: Collection[str], present: int, approved: str | None) -> Brake | None:
    """Whether to stop before `missing` (keys) of `present` entries are orphaned."""
    if len(missing) < _AT_LEAST or len(missing) * 100 <= present * _SHARE:
        return None
    name = f"{len(missing)}-{hashlib.sha256(chr(10).join(sorted(missing)).encode()).hexdigest()[:12]}"
    return None if approved == name else Brake(len(missing), present, name)


def is_over(orphaned: int, now: float) -> bool:
    """Whether an entry that is orphaned since `orphaned` (Unix seconds) may be withdrawn."""
    return now - orphaned >= ORPHAN_SECONDS
