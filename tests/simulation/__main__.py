"""python -m tests.simulation [--seeds N] [--first S] [--jobs J] | --mutations: what happened, and what is lost."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from .faults import Table
from .loop import run
from .world import World


def run_seeds(first: int, count: int) -> tuple[Table, str]:
    """Run seeds, and stop at the first that loses something; what it says, or "" ."""
    logging.disable(logging.CRITICAL)
    table = Table()
    for seed in range(first, first + count):
        world = World(seed)
        try:
            run(world.run())
        except Exception as error:
            return table, f"seed {seed}: {type(error).__name__}: {error}"
        table.add(world.table)
    return table, ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--mutations", action="store_true", help="show that each mutation of the code is caught")
    options = parser.parse_args()
    if options.mutations:
        from .mutations import main as mutations

        return mutations(options.seeds, options.jobs)
    started = time.monotonic()
    table = Table()
    failures = []
    chunk = 25
    starts = range(options.first, options.first + options.seeds, chunk)
    with ProcessPoolExecutor(options.jobs) as workers:
        found = [workers.submit(run_seeds, at, min(chunk, starts.stop - at)) for at in starts]
        for done, future in enumerate(found, 1):
            part, failure = future.result()
            table.add(part)
            failures += [failure] if failure else []
            print(f"\r{min(done * chunk, options.seeds)}/{options.seeds} seeds", end="", file=sys.stderr, flush=True)
            if failure:
                print(f"\n{failure}", file=sys.stderr)
    seconds = time.monotonic() - started
    print(f"\n{options.seeds} seeds in {seconds:.0f} s, {len(failures)} lost something", file=sys.stderr)
    print("\n".join(table.lines()))
    empty = table.empty_of(options.seeds)
    for cell in empty:
        print(f"never happened: {cell}", file=sys.stderr)
    return 1 if failures or empty else 0


if __name__ == "__main__":
    sys.exit(main())
