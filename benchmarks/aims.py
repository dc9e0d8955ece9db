"""What TARGETS.md asks of each row: maddy's figure, which none may be worse than, and the aims of both stores.

A row of a report belongs to the first pattern that it begins with; rows without an aim are information.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import inf
from typing import Final


@dataclass(frozen=True)
class Aim:
    """`folder` and `seaweedfs` are figures, or multiples of the `floor` row where there is one; None is the peer's."""

    pattern: str
    folder: float | None
    seaweedfs: float | None
    maddy: float | None = None
    less: bool = False  # whether less is better
    floor: str = ""
    cpu: bool = False  # the server's CPU a message in ms, not the rate

    def ratio(self, value: float, wanted: float) -> float:
        """1 or more where the aim is met."""
        better, worse = (wanted, value) if self.less else (value, wanted)
        return better / worse if worse else inf


WATCHERS: Final = "delivery → EXISTS at all of"
AIMS: Final = [
    Aim("deliver 4 KB, 20 connections", 1000, 800, 532),
    Aim("deliver 4 KB, 20 connections", 1.0, 1.5, 3.2, less=True, cpu=True),
    Aim("deliver 4 KB, one connection a message", 700, 600, 317),
    Aim("deliver 1 MB", 130, 80, 60),
    Aim("deliver 4 KB to one hot mailbox", 1500, 1500, 398),
    Aim("ENVELOPE.*restart", 200_000, 100_000, 10_600),
    Aim("ENVELOPE.*again", 600_000, 600_000, 13_100),
    Aim("FLAGS of", 4_000_000, 4_000_000, 63_000),
    Aim("four header fields.*restart", 200_000, 100_000, 25_000),
    Aim("four header fields.*again", 800_000, 800_000, 24_000),
    Aim("full download.*restart", 100_000, 8000, 810),
    Aim("full download.*again", 100_000, 40_000, 810),
    Aim("STORE on all", 3_000_000, 3_000_000, 54_000),
    Aim("STORE on one", 1.5, 1.3, less=True, floor="(?:one fsynced new file|one bare PUT).*floor"),
    Aim("APPEND, ", 1000, 600, 424),
    Aim("MULTIAPPEND", 28_700, 15_000),
    Aim("SEARCH BODY.* (?:a rare string|none), first after a restart", 300, 500, 11_700, less=True),
    Aim("SEARCH BODY.* (?:a rare string|none), ", 20, 20, 11_700, less=True),
    Aim("SEARCH BODY.* a common word, first after a restart", 300, 500, 11_700, less=True),
    Aim("SEARCH BODY.* a common word, ", 60, 60, 11_700, less=True),
    Aim("SEARCH UNSEEN", 1, 1, 9.6, less=True),
    Aim("SEARCH FROM", 10, 10, 11_300, less=True),
    Aim("SORT", 10, 10, 343, less=True),
    Aim("THREAD", 20, 20, less=True),
    Aim("POP3 RETR", 17_000, 6000),
    Aim("outbound", None, None),
    Aim("memory of an idle IMAP session, plain", 12, 12, 36, less=True),
    Aim("memory of an idle IMAP session, TLS", 32, 32, less=True),
    Aim(f"{WATCHERS}.* p50", 12, 15, 14, less=True),
    Aim(f"{WATCHERS}.* p99", 25, 30, 28, less=True),
    Aim("log-ins", 2000, 2000, 1087),
]
"""In the order of TARGETS.md. STORE on one is measured against the disk or a PUT."""


def aims_of(row: str) -> list[Aim]:
    """The row's aim; of a delivery that of its CPU too."""
    found = [aim for aim in AIMS if re.match(aim.pattern, row)]
    return [*found[:1], *(aim for aim in found[1:] if aim.cpu)]
