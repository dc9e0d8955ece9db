"""A second process helps only where it runs at the same time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailpod.config import ScannerSettings
from mailpod.scanning import scanner
from mailpod.scanning.cpus import usable_cpus
from mailpod.scanning.scanner import make_scanner

THERE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("quota", "cpus"),
    [("max 100000\n", THERE), ("50000 100000\n", 0.5), (f"{THERE}000000 100000\n", THERE), ("nonsense\n", THERE)],
)
def test_the_limit_of_the_container_counts(tmp_path: Path, quota: str, cpus: float) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    assert usable_cpus(tmp_path / "cpu.max") == cpus


def test_without_a_control_group_all_cpus_count(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path / "cpu.max") == THERE


@pytest.mark.parametrize(("enabled", "cpus", "made"), [(True, 2, True), (True, 1, False), (False, 2, False)])
def test_there_is_one_where_it_is_of_use(
    monkeypatch: pytest.MonkeyPatch, enabled: bool, cpus: float, made: bool
) -> None:
    monkeypatch.setattr(scanner, "usable_cpus", lambda: cpus)
    assert (make_scanner(ScannerSettings(enabled=enabled)) is not None) == made
