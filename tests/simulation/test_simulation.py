"""A few seeds of the simulation with every test run; `make simulate SEEDS=5000` runs as many as one likes."""

from __future__ import annotations

import datetime

import pytest

from mailpod import logs

from .loop import run
from .world import World

FOUND = [0, 3]
"""Seeds that found something: changes during a checkpoint that were forgotten, a tail that fell out of the index."""


@pytest.mark.parametrize("offset", range(12))
def test_nothing_acknowledged_is_lost(offset: int) -> None:
    logs.configure(level="error")
    today = datetime.datetime.now(datetime.UTC).date().toordinal()
    seed = FOUND[offset] if offset < len(FOUND) else today * 100 + offset
    try:
        run(World(seed).run())
    except BaseException as error:
        raise AssertionError(f"seed {seed}: {error}") from error
