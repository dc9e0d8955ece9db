"""Some seeds of the simulation with every test run, thousands in `make test-slow`."""

from __future__ import annotations

import datetime
import gc
import logging
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

from .faults import Table
from .loop import run
from .mutants import MUTATIONS
from .mutating import Mutation, mutated
from .mutations import Caught, hunt
from .world import World

_QUICK = 60  # seeds, or as many of them as _QUICK_SECONDS of CPU allow
_AT_LEAST = 20
_QUICK_SECONDS = 15.0
_SLOW_SECONDS = 75.0  # of CPU, in each of two processes
_HUNT = 120  # seeds that may pass before a mutation has survived


def _first() -> int:
    """Another thousand of seeds every day."""
    return datetime.datetime.now(datetime.UTC).date().toordinal() * 10_000


def _workers() -> ProcessPoolExecutor:
    """Two processes, whose collector leaves alone what this one had in memory: it would go over it again and again."""
    return ProcessPoolExecutor(2, initializer=gc.freeze)


def _run(first: int, most: int, least: int, seconds: float) -> tuple[int, Table]:
    """Seeds from `first` on, until there are `most`, or `seconds` of CPU are over and there are `least`."""
    started, table = time.process_time(), Table()
    logging.disable(logging.CRITICAL)
    try:
        for count in range(most):
            if count >= least and time.process_time() - started > seconds:
                return count, table
            world = World(first + count)
            try:
                run(world.run())
            except Exception as error:
                raise AssertionError(f"seed {first + count} (python -m tests.simulation --seeds 1 --first"
                                     f" {first + count}): {type(error).__name__}: {error}") from error  # fmt: skip
            table.add(world.table)
        return most, table
    finally:
        logging.disable(logging.NOTSET)


def test_nothing_acknowledged_is_lost() -> None:
    count, table = _run(_first(), _QUICK, _AT_LEAST, _QUICK_SECONDS)
    assert count >= _AT_LEAST
    assert min(table.done["append"], table.done["packed messages"], table.done["collected commits"]) > 0


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_in_many_seeds_and_every_fault_struck_everywhere() -> None:
    first = _first() + 1000
    print(f"first seed {first}")
    with _workers() as workers:
        parts = [workers.submit(_run, first + at, 4000, 100, _SLOW_SECONDS) for at in (0, 4500)]
        table, seeds = Table(), 0
        for part in parts:
            count, found = part.result()
            seeds += count
            table.add(found)
    print(f"{seeds} seeds", *table.lines(), sep="\n")
    assert table.empty_of(seeds) == []


@pytest.mark.slow
def test_each_mutation_is_caught() -> None:
    with _workers() as workers:
        found: list[Caught] = list(workers.map(hunt, MUTATIONS, [_HUNT] * len(MUTATIONS)))
    print(*found, sep="\n")
    assert [str(each) for each in found if not each.by and not each.mutation.survives] == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_is_of_the_code_as_it_is(mutation: Mutation) -> None:
    with mutated(mutation):
        pass
