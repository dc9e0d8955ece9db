"""Show that each mutation is caught, by a seed of the simulation or by the unit test that it names."""

from __future__ import annotations

import itertools
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from .loop import run
from .mutants import INVARIANTS, MUTATIONS, RULES
from .mutating import Mutation, mutated
from .world import World

_UNLIKELY = 10  # seeds for a mutation that is known to survive


@dataclass(frozen=True)
class Caught:
    """`seeds` is how many were needed; 0: a unit test did it. `by` is empty where nothing did."""

    mutation: Mutation
    seeds: int
    seed: int | None
    by: str
    seconds: float

    def __str__(self) -> str:
        if not self.by and self.mutation.survives:
            return f"rule {self.mutation.rule}: {self.mutation.name}: SURVIVES, {self.mutation.survives}"
        how = f"{self.seeds} seeds, {self.seed}" if self.seed is not None else "unit test"
        return f"rule {self.mutation.rule}: {self.mutation.name}: {self.by or 'SURVIVED'} ({how}, {self.seconds:.1f} s)"


def hunt(mutation: Mutation, limit: int) -> Caught:
    """Seeds until one fails. Raises Stale."""
    started = time.process_time()
    limit = min(limit, _UNLIKELY) if mutation.survives else limit
    logging.disable(logging.CRITICAL)
    if mutation.test:
        passed = _passes(mutation)
        return Caught(mutation, 0, None, "" if passed else mutation.test.split("::")[-1], time.process_time() - started)
    seeds = itertools.chain(mutation.seeds, (seed for seed in range(limit) if seed not in mutation.seeds))
    with mutated(mutation):
        for count, seed in enumerate(itertools.islice(seeds, limit), 1):
            try:
                run(World(seed).run())
            except Exception as error:
                by = f"{type(error).__name__}: {error}"[:150]
                return Caught(mutation, count, seed, by, time.process_time() - started)
    return Caught(mutation, limit, 0, "", time.process_time() - started)


def _passes(mutation: Mutation) -> bool:
    """Whether the unit test passes with the mutation in; run in a process of its own."""
    program = (
        "import sys, pytest\n"
        "from tests.simulation.mutants import MUTATIONS\n"
        "from tests.simulation.mutating import mutated\n"
        "with mutated(next(each for each in MUTATIONS if each.name == sys.argv[1])):\n"
        "    sys.exit(pytest.main(['-q', '-x', '-p', 'no:cacheprovider', *sys.argv[2:]]))\n"
    )
    command = [sys.executable, "-c", program, mutation.name, mutation.test]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode not in (0, 1):
        raise AssertionError(f"{mutation.test} could not be run: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 0


def unshown() -> Iterator[str]:
    """Rules and invariants without a mutation that something catches."""
    shown = {rule for mutation in MUTATIONS for rule in mutation.rules if not mutation.survives}
    return (rule for rule in (*RULES, *INVARIANTS) if rule not in shown)


def show() -> int:
    """Each rule and invariant, and its mutations; 1 where one has none."""
    for rule in (*RULES, *INVARIANTS):
        print(f"rule {rule}" if rule in RULES else rule)
        for mutation in MUTATIONS:
            if rule in mutation.rules:
                by = (mutation.survives and f"survives, {mutation.survives}") or mutation.test or "the simulation"
                print(f"    {mutation.name}: {by}")
    for rule in (missing := list(unshown())):
        print(f"nothing shows {rule}")
    return 1 if missing else 0


def main(limit: int, jobs: int) -> int:
    """Hunt them all, print a line each; 1 where one survived."""
    survived = 0
    with ProcessPoolExecutor(jobs) as workers:
        for caught in workers.map(hunt, MUTATIONS, [limit] * len(MUTATIONS)):
            survived += not caught.by and not caught.mutation.survives
            print(caught, flush=True)
    print(f"{survived} of {len(MUTATIONS)} mutations survived {limit} seeds, beside those that are known to")
    return 1 if survived else 0
