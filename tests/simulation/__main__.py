"""python -m tests.simulation [--seeds N] [--first S] [--jobs J] | --mutations | --list: what happened, what is lost."""

from __future__ import annotations

import argparse
import gc
import logging
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from .faults import Cell, Table
from .seeds import Lost, fill, parse, run_seed, text

_CHUNK = 25  # seeds


def run_chunk(first: int, count: int, cell: Cell | None) -> tuple[Table, str]:
    """Run seeds, and stop at the first that loses something; what it says, or "" ."""
    logging.disable(logging.CRITICAL)
    table = Table()
    try:
        for seed in range(first, first + count):
            run_seed(seed, table, cell)
    except Lost as error:
        return table, str(error)
    return table, ""


def run_aimed(first: int, cells: list[Cell]) -> tuple[Table, str]:
    """Seeds for cells that are empty."""
    logging.disable(logging.CRITICAL)
    try:
        return fill(first, cells), ""
    except Lost as error:
        return Table(), str(error)


def simulate(first: int, seeds: int, jobs: int, cell: Cell | None) -> tuple[Table, list[str]]:
    """All of them; what they lost."""
    table, failures = Table(), []
    starts = range(first, first + seeds, _CHUNK)
    with ProcessPoolExecutor(jobs, initializer=gc.freeze) as workers:
        found = [workers.submit(run_chunk, at, min(_CHUNK, starts.stop - at), cell) for at in starts]
        for done, future in enumerate(found, 1):
            part, failure = future.result()
            table.add(part)
            failures += [failure] if failure else []
            print(f"\r{min(done * _CHUNK, seeds)}/{seeds} seeds", end="", file=sys.stderr, flush=True)
            if failure:
                print(f"\n{failure}", file=sys.stderr)
    return table, failures


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument(
        "--seeds", type=int, default=100, help="0: only those that are aimed at a cell of the table each"
    )
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--aim", help="a cell of the table that each seed is to meet, `409 x delete pack`")
    parser.add_argument("--mutations", action="store_true", help="show that each mutation of the code is caught")
    parser.add_argument("--list", action="store_true", help="which mutations each rule and invariant has")
    options = parser.parse_args()
    if options.mutations or options.list:
        from . import mutations

        return mutations.show() if options.list else mutations.main(options.seeds, options.jobs)
    started = time.monotonic()
    table, failures = simulate(options.first, options.seeds, options.jobs, parse(options.aim) if options.aim else None)
    print(f"\n{options.seeds} seeds in {time.monotonic() - started:.0f} s, {len(failures)} lost something",
          file=sys.stderr)  # fmt: skip
    if not failures and not options.aim and not 0 < options.seeds < _CHUNK:
        failures = aim(options.first, options.jobs, table)
    print("\n".join(table.lines()))
    return 1 if failures else 0


def aim(first: int, jobs: int, table: Table) -> list[str]:
    """Seeds for the cells that are empty; what they lost, and which never happened."""
    cells = table.empty()
    print(f"{len(cells)} cells of the table to aim at", file=sys.stderr)
    with ProcessPoolExecutor(jobs, initializer=gc.freeze) as workers:
        parts = [workers.submit(run_aimed, first, cells[at::_CHUNK]) for at in range(_CHUNK)]
        failures = []
        for done, part in enumerate(parts, 1):
            found, failure = part.result()
            table.add(found)
            failures += [failure] if failure else []
            print(f"\r{done}/{_CHUNK} of them", end="", file=sys.stderr, flush=True)
    failures += [f"never happened: {text(cell)}" for cell in table.empty()]
    print(*failures, sep="\n", file=sys.stderr)
    return failures


if __name__ == "__main__":
    sys.exit(main())
