"""The faults, how often they strike, and the table of what was struck: an empty cell means that nothing was shown.

STORE.md's last section names them. Two kinds strike a request: before its effect, and at it or after it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

GRACE = 20.0  # virtual seconds; everything else is scaled to it

BEFORE = {  # fault -> chance a request, before the request has any effect
    "crash before sending": 0.0008,
    "stalled before sending": 0.006,
    "suspended past GRACE before sending": 0.0012,
    "delayed": 0.02,
    "refused": 0.025,
}
WRITES = {  # … at the effect, of requests that write
    "never arrives": 0.025,
    "lands late": 0.02,
    "lands late, its writer suspended": 0.004,
    "answer lost": 0.03,
    "409": 0.01,
}
AFTER = {  # … when the effect has happened
    "crash before the answer": 0.0008,
    "stalled before the answer": 0.006,
    "suspended past GRACE before the answer": 0.0012,
}
SKEW = "clock a day off"
SLOW = "slow for a while"  # each answer takes up to GRACE/2
READ_FAULTS = (*BEFORE, *AFTER, SKEW, SLOW)
WRITE_FAULTS = (*BEFORE, *WRITES, *AFTER, SKEW, SLOW)

WRITTEN = (
    "create log", "create checkpoint", "create page", "create pack", "create incarnation", "create purge",
    "create outbound", "put clock", "delete log", "delete checkpoint", "delete page", "delete pack", "delete purge",
    "delete outbound",
)  # fmt: skip
READ = (
    "get log", "get checkpoint", "get page", "get pack", "get incarnation", "get purge", "get outbound", "get clock",
    "list log", "list checkpoint", "list page", "list pack", "list incarnation", "list directory", "list outbound",
)  # fmt: skip

ACTIVITIES = (
    "open", "look", "append", "flag", "expunge", "copy", "folder", "read", "session", "checkpoint", "collect", "pack",
    "accept", "hand out", "create account", "close", "purge",
)  # fmt: skip
"""What pods and operators do, beside the requests that it is made of."""

Cell = tuple[str, str]
"""A fault and the request or activity that it strikes; or SCENARIO, and which."""
SCENARIO = "scenario"

SCENARIOS = (
    "two operators at one account", "an operator killed during create account", "an operator killed during close",
    "an operator killed during purge", "a purge resumed", "two packers at one account", "two collectors at one account",
    "collector suspended past GRACE between deciding and DELETE",
    "checkpointer suspended past GRACE between base and publish", "packer suspended past GRACE",
    "account closed under a session", "account created again",
    "hint repeated", "hint forged", "hint out of order",
)  # fmt: skip

_SUSPENDED = "suspended past GRACE before sending"
_STAGED: dict[str, Cell] = {  # the fault that makes a scenario
    "an operator killed during create account": ("crash before the answer", "create account"),
    "an operator killed during close": ("crash before the answer", "close"),
    "an operator killed during purge": ("crash before the answer", "purge"),
    "a purge resumed": ("crash before the answer", "purge"),
    "collector suspended past GRACE between deciding and DELETE": (_SUSPENDED, "delete page"),
    "checkpointer suspended past GRACE between base and publish": (_SUSPENDED, "create checkpoint"),
    "packer suspended past GRACE": (_SUSPENDED, "pack"),
}


@dataclass
class Aim:
    """What one seed is to meet, besides what its dice bring: a cell of the table that is empty otherwise."""

    cell: Cell
    left: int = 2  # strikes: a pod that is killed at each of its openings shows nothing
    chance: float = 0.3  # a request

    def __post_init__(self) -> None:
        self.fault, self.where = _STAGED.get(self.cell[1], self.cell)

    def strikes(self, fault: str, operation: str, doing: str, rng: random.Random) -> bool:
        if fault != self.fault or self.where not in (operation, doing) or not self.left or rng.random() > self.chance:
            return False
        self.left -= 1
        return True


class Dice:
    """Which fault strikes, from one throw a place."""

    def __init__(self, scale: float) -> None:
        """`scale` multiplies every chance; 0 is a quiet world."""
        self.before = _thresholds(BEFORE, scale)
        self.read = _thresholds(AFTER, scale)
        self.write = _thresholds(WRITES | AFTER, scale)

    @staticmethod
    def throw(rng: random.Random, thresholds: list[tuple[float, str]]) -> str:
        roll = rng.random()
        if not thresholds or roll >= thresholds[-1][0]:
            return ""
        return next(name for limit, name in thresholds if roll < limit)


def _thresholds(chances: dict[str, float], scale: float) -> list[tuple[float, str]]:
    total, out = 0.0, []
    for name, chance in chances.items():
        total += chance * scale
        out.append((total, name))
    return out if scale else []


@dataclass
class Table:
    """What was struck: faults by requests, faults by activities, and scenarios."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    activities: Counter[tuple[str, str]] = field(default_factory=Counter)
    scenarios: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)

    def struck(self, fault: str, request: str, doing: str) -> None:
        self.requests[fault, request] += 1
        self.activities[fault, doing] += 1

    def add(self, other: Table) -> None:
        self.requests.update(other.requests)
        self.activities.update(other.activities)
        self.scenarios.update(other.scenarios)
        self.done.update(other.done)

    def count(self, cell: Cell) -> int:
        if cell[0] == SCENARIO:
            return self.scenarios[cell[1]]
        return (self.activities if cell[1] in ACTIVITIES else self.requests)[cell]

    def empty(self) -> list[Cell]:
        """Cells that could hold something and do not."""
        cells = [(fault, request) for request in WRITTEN for fault in WRITE_FAULTS]
        cells += [(fault, request) for request in READ for fault in READ_FAULTS]
        cells += [(fault, doing) for doing in ACTIVITIES for fault in _faults_of(doing)]
        cells += [(SCENARIO, name) for name in SCENARIOS]
        return [cell for cell in cells if not self.count(cell)]

    def lines(self) -> Iterable[str]:
        yield from _grid("Faults by requests", WRITE_FAULTS, (*WRITTEN, *READ), self.requests)
        yield ""
        yield from _grid("Faults by activities", WRITE_FAULTS, ACTIVITIES, self.activities)
        yield ""
        yield "Scenarios"
        for name in sorted({*SCENARIOS, *self.scenarios}):
            yield f"{self.scenarios[name]:>9}  {name}"
        yield ""
        yield "Done"
        for name, count in sorted(self.done.items()):
            yield f"{count:>9}  {name}"


def _faults_of(doing: str) -> tuple[str, ...]:
    """Looking, reading and opening write nothing."""
    return READ_FAULTS if doing in ("open", "look", "read", "session") else WRITE_FAULTS


def _grid(title: str, faults: Iterable[str], columns: Iterable[str], cells: Counter[tuple[str, str]]) -> Iterable[str]:
    """Operations down, faults across: there are more operations."""
    names = list(faults)
    width = max(map(len, columns)) + 1
    yield title
    for at, name in enumerate(names):
        yield " " * width + "".join("|".rjust(8) for _ in range(at)) + f"{name:>8}"
    for column in columns:
        row = "".join((str(cells[name, column]) if (name, column) in cells else "-").rjust(8) for name in names)
        yield column.ljust(width) + row
