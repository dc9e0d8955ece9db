"""What the benchmarks share: the mail mix, a client that is not the bottleneck, runs that alternate, and their medians.

Times are taken around bytes on a socket; answers are counted and compared after the clock has stopped, and a wrong or
missing one ends the run.
"""

from __future__ import annotations

import argparse
import re
import resource
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import product
from math import inf
from pathlib import Path

from benchmarks import peers
from benchmarks.aims import Aim, aims_of
from benchmarks.profile_pod import top
from benchmarks.systems import KINDS, OURS, System, accounts


@dataclass
class Options:
    systems: list[str]
    runs: int
    scale: float
    seconds: float
    profile: Path | None

    def scaled(self, count: int) -> int:
        return max(1, int(count * self.scale))


@dataclass
class Sample:
    """What one run of one piece of work gave. `value` is in the row's unit; CPU is in ms a unit of work."""

    value: float
    server_cpu: float | None = None
    client_cpu: float | None = None


@dataclass
class Table:
    """Rows by work, columns by system, cells the samples of all runs."""

    cells: dict[tuple[str, str], list[Sample]] = field(default_factory=dict)
    durable: dict[str, str] = field(default_factory=dict)
    order: str = ""
    took: float = 0.0

    def add(self, row: str, system: System, sample: Sample) -> None:
        self.cells.setdefault((row, system.name), []).append(sample)
        self.durable[system.name] = system.durable
        print(f"  {system.name:28} {row:64} {show(sample.value)}", file=sys.stderr, flush=True)

    def rows(self) -> list[str]:
        return list(dict.fromkeys(row for row, _ in self.cells))

    def median(self, row: str, system: str) -> Sample | None:
        samples = self.cells.get((row, system))
        if not samples:
            return None
        return Sample(
            statistics.median(sample.value for sample in samples),
            middle([sample.server_cpu for sample in samples]),
            middle([sample.client_cpu for sample in samples]),
        )

    def markdown(self) -> str:
        names = list(self.durable)
        lines = ["| work | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
        lines.append("| an acknowledgement waits for | " + " | ".join(self.durable.values()) + " |")
        for row in self.rows():
            cells = [cell(self.median(row, name)) for name in names]
            lines.append(f"| {' | '.join([row, *cells])} |")
        return "\n".join(
            [*lines, "", f"{self.order}; {self.took:.0f} s. Medians; CPU is a message's (or a log-in's).", ""]
        )

    def aims(self) -> str:
        """Each row that has an aim, on each of our stores: how much of the aim, of the peer's and of maddy's it is."""
        lines = [
            "| work | store | here | aim | of the aim | of the peer's | of maddy's |",
            "|---|---|---|---|---|---|---|",
        ]
        for row, (kind, name) in product(self.rows(), OURS.items()):
            for aim in aims_of(row):
                lines += self._aimed(row, kind, name, aim)
        return "\n".join([*lines, "", "1 is met, less is short; STORE's aim is a multiple of its floor.", ""])

    def _aimed(self, row: str, kind: str, name: str, aim: Aim) -> list[str]:
        value = self._value(row, name, aim)
        peers = [other for other in self.durable if other not in OURS.values()]
        theirs = self._value(row, peers[0], aim) if peers else None
        wanted: float | None = getattr(aim, kind) or theirs
        if value is None or wanted is None:
            return []
        if aim.floor:
            found = [self.median(other, name) for other in self.rows() if re.match(aim.floor, other)]
            wanted *= [sample.value for sample in found if sample][-1]
        of_others = [f"{aim.ratio(value, other):.2f}" if other else "–" for other in (theirs, aim.maddy)]
        what = f"{row}: server CPU, ms" if aim.cpu else row
        return [
            f"| {' | '.join([what, kind, show(value), show(wanted), f'{aim.ratio(value, wanted):.2f}', *of_others])} |"
        ]

    def _value(self, row: str, name: str, aim: Aim) -> float | None:
        sample = self.median(row, name)
        return None if sample is None else sample.server_cpu if aim.cpu else sample.value

    def ratios(self) -> str:
        """The medians as multiples of the last column's, which is the peers' where they run."""
        *names, base = self.durable
        lines = [f"| multiples of {base} | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
        for row in self.rows():
            theirs = self.median(row, base)
            ours = [self.median(row, name) for name in names]
            cells = [f"{sample.value / theirs.value:.2f}" if sample and theirs else "–" for sample in ours]
            lines.append(f"| {' | '.join([row, *cells])} |")
        return "\n".join([*lines, ""])


def middle(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def cell(sample: Sample | None) -> str:
    if sample is None:
        return "–"
    if sample.server_cpu is None or sample.client_cpu is None:
        return show(sample.value)
    return f"{show(sample.value)} (CPU: {microseconds(sample.server_cpu)}, client {microseconds(sample.client_cpu)})"


def microseconds(milliseconds: float) -> str:
    """CPU of one unit of work; the kernel counts in ticks of 10 ms over the whole run, so small ones are rough."""
    return f"{milliseconds * 1000:,.0f} µs" if milliseconds < 1 else f"{milliseconds:.2f} ms"


def show(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


Work = Callable[[System, Options, Table], None]


def measure(works: Sequence[Work], options: Options, table: Table) -> None:
    """All work on each system in turn, `runs` times over; all are up at once, so all are disturbed alike.

    A round that would not end within `seconds`, as long as the longest before it, is not begun; the first always is.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        systems = []
        for kind in options.systems:
            folder = options.profile / kind if options.profile else None
            system = KINDS[kind](accounts(), folder)
            stack.callback(system.stop)
            system.start()
            systems.append(system)
        rounds, longest = 0, 0.0
        while rounds < options.runs and time.monotonic() - began + longest < options.seconds:
            started = time.monotonic()
            for work in works:
                for system in systems:
                    work(system, options, table)
                    system.keep_profiles(work.__name__)
            rounds, longest = rounds + 1, max(longest, time.monotonic() - started)
        names = ", ".join(system.name for system in systems)
        table.order = f"{rounds} rounds of {', '.join(_named(works))}, each on {names}"
        table.took = time.monotonic() - began
    for kind in options.systems if options.profile else []:
        assert options.profile is not None
        for folder in sorted(path for path in (options.profile / kind).glob("*") if path.is_dir()):
            print(f"\nProfile of {folder.name} on {kind}, own CPU:", *top(folder), sep="\n  ")


def _named(works: Sequence[Work]) -> list[str]:
    """Each once, and how often if that is more."""
    count = Counter(work.__name__ for work in works)
    return [f"{number} {name}" if number > 1 else name for name, number in count.items()]


def main(*works: Work, systems: str = "folder,seaweedfs,peers", ratios: bool = False) -> None:
    """The command line that each benchmark has. `ratios`: also each figure as a multiple of the peers'."""
    parser = argparse.ArgumentParser(description="Prints a Markdown table of medians.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, one run")
    parser.add_argument("--scale", type=float, default=1.0, help="so much of the work")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=inf, help="begin no further run that would end after so many")
    parser.add_argument("--only", help=f"of {', '.join(work.__name__ for work in works)}")
    parser.add_argument("--systems", default=systems, help=f"of {', '.join(KINDS)}")
    parser.add_argument("--profile", type=Path, help="a folder for the pods' profiles; figures are slower then")
    given = parser.parse_args()
    kinds = given.systems.split(",")
    if any(kind.startswith("peers") for kind in kinds) and (why := peers.usable()):
        print(f"without the peers: {why}", file=sys.stderr)
        kinds = [kind for kind in kinds if not kind.startswith("peers")]
    runs, scale = (1, 0.1) if given.quick else (given.runs, given.scale)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # as by Ctrl-C: the servers end too
    options = Options(kinds, runs, scale, given.minutes * 60, given.profile)
    table = Table()
    chosen = given.only.split(",") if given.only else [work.__name__ for work in works]
    measure([work for work in works if work.__name__ in chosen], options, table)
    print(table.markdown())
    print(table.aims())
    if ratios:
        print(table.ratios())


class Cpu:
    """CPU of a server and of this process with its children, over a stretch of work."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.server = system.cpu_seconds()
        self.client = client_cpu()
        system.observe(True)

    def sample(self, value: float, units: int) -> Sample:
        """To be called at once after the work."""
        server = (self.system.cpu_seconds() - self.server) * 1000 / units
        client = (client_cpu() - self.client) * 1000 / units
        self.system.observe(False)
        return Sample(value, server, client)


def client_cpu() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, kinds))
