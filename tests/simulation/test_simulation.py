"""Some seeds of the simulation with every test run, thousands in `make test-slow`."""

from __future__ import annotations

import datetime
import gc
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import pytest

from .faults import Cell, Table
from .mutants import MUTATIONS
from .mutating import Mutation, mutated
from .mutations import Caught, hunt, unshown
from .seeds import fill, run_seeds

_QUICK = 40  # seeds, or as many of them as _QUICK_SECONDS of CPU allow
_AT_LEAST = 20
_QUICK_SECONDS = 15.0
_SLOW_SECONDS = 60.0  # of CPU, in each of two processes
_HUNT = 400  # seeds that may pass before a mutation has survived


def _first() -> int:
    """Another thousand of seeds every day; in CI the same ones, as what it says is to be of the change."""
    if os.environ.get("CI") == "true":
        return 0
    return datetime.datetime.now(datetime.UTC).date().toordinal() * 10_000


def _workers() -> ProcessPoolExecutor:
    """Two processes, whose collector leaves alone what this one had in memory: it would go over it again and again."""
    return ProcessPoolExecutor(2, initializer=gc.freeze)


def _run(first: int, most: int, least: int, seconds: float) -> tuple[int, Table]:
    """In a process of its own, or here."""
    table = Table()
    logging.disable(logging.CRITICAL)
    try:
        return run_seeds(first, most, table, least=least, cpu=seconds), table
    finally:
        logging.disable(logging.NOTSET)


def _fill(first: int, cells: Sequence[Cell]) -> Table:
    logging.disable(logging.CRITICAL)
    return fill(first, cells)


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
        missed = table.empty()
        for filled in [workers.submit(_fill, first, missed[at::2]) for at in range(2)]:
            table.add(filled.result())
    print(f"{seeds} seeds, and more that were aimed at {len(missed)} cells", *table.lines(), sep="\n")
    assert table.empty() == []


def test_a_seed_meets_what_it_is_aimed_at() -> None:
    cell = "suspended past GRACE before sending", "delete checkpoint"
    logging.disable(logging.CRITICAL)
    try:
        table = fill(0, [cell])
    finally:
        logging.disable(logging.NOTSET)
    assert table.count(cell) > 0


def test_every_rule_and_invariant_has_a_mutation_that_is_caught() -> None:
    assert list(unshown()) == []


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
