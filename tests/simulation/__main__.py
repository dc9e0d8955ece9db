"""python -m tests.simulation --seeds N [--first S] [--seconds VIRTUAL]: print what happened, stop at what is lost."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter

from mailpod import logs

from .loop import run
from .world import World


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=600)
    options = parser.parse_args()
    logs.configure(level="error")
    logging.disable(logging.CRITICAL)
    faults: Counter[tuple[str, str]] = Counter()
    done: Counter[str] = Counter()
    started = time.monotonic()
    for seed in range(options.first, options.first + options.seeds):
        world = World(seed)
        try:
            run(world.run(options.seconds))
        except BaseException as error:
            print(f"\nseed {seed}: {type(error).__name__}: {error}", file=sys.stderr)
            raise
        faults += world.faults
        done += world.done
        if sys.stderr.isatty() or seed % 50 == 49:
            print(f"\r{seed + 1 - options.first}/{options.seeds} seeds", end="", file=sys.stderr, flush=True)
    print(f"\n{options.seeds} seeds in {time.monotonic() - started:.0f} s, nothing lost", file=sys.stderr)
    for name, count in sorted(done.items()):
        print(f"{count:>9}  {name}")
    operations = sorted({operation for _, operation in faults})
    for name in sorted({name for name, _ in faults}):
        print(f"{name}: " + ", ".join(f"{operation} {faults[name, operation]}" for operation in operations))
    return 0


sys.exit(main())
