"""One short run of `python -m tests.crash.sharing`, another seed each day."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from tests.crash.sharing import run
from tests.fixtures_seaweed import Seaweed


@pytest.mark.slow
def test_no_right_is_leaked_on_seaweedfs(seaweed: Seaweed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    print(run(tmp_path / "pods", seaweed, datetime.datetime.now(datetime.UTC).date().toordinal(), troubles=1))
