"""Seeds, one after the other, into one table; and more of them, aimed at what the table still lacks."""

from __future__ import annotations

import time
from collections.abc import Sequence

from .faults import Cell, Table
from .loop import run
from .world import World

_TRIES = 30  # of an empty cell


class Lost(AssertionError):
    """A seed in which something was lost, and how to see it again."""


def run_seed(seed: int, table: Table, cell: Cell | None = None) -> None:
    """Raises Lost."""
    world = World(seed, cell)
    try:
        run(world.run())
    except Exception as error:
        again = f"python -m tests.simulation --seeds 1 --first {seed}" + (f" --aim '{text(cell)}'" if cell else "")
        raise Lost(f"seed {seed} ({again}): {type(error).__name__}: {error}") from error
    table.add(world.table)


def run_seeds(first: int, most: int, table: Table, *, least: int = 0, cpu: float = float("inf")) -> int:
    """Seeds from `first` on, until there are `most`, or `cpu` seconds are over and there are `least`. Raises Lost."""
    started = time.process_time()
    for count in range(most):
        if count >= least and time.process_time() - started > cpu:
            return count
        run_seed(first + count, table)
    return most


def fill(first: int, cells: Sequence[Cell]) -> Table:
    """Aim seeds at each of the cells until it was met; what happened in them. Raises Lost."""
    table = Table()
    for cell in cells:
        for seed in range(first, first + _TRIES):
            if table.count(cell):
                break
            run_seed(seed, table, cell)
    return table


def text(cell: Cell) -> str:
    return " x ".join(cell)


def parse(words: str) -> Cell:
    """What `text` made."""
    fault, _, where = words.partition(" x ")
    return fault, where
