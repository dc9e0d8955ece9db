"""The fixture `installed`: one installation for all tests that only add domains and mailboxes to it.

A test that breaks things, or changes settings, makes an Installation of its own and ends it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster.fixtures import Cluster
from tests.e2e.installed import FIGURES, Installation


@pytest.fixture(scope="session")
def installed(cluster: Cluster) -> Iterator[Installation]:
    """The chart with the trial S3 in a namespace of its own, ready. Tests add to it and take away what they added."""
    found = Installation(cluster, prefix="installed").install()
    yield found
    found.end()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that begin with nothing before the others of this folder: from nothing means that nothing is there."""
    folder = [number for number, item in enumerate(items) if item.path.parent.name == "e2e"]
    first = ["test_walk.py", "test_install.py"]
    places = {name: place for place, name in enumerate(first)}
    ordered = sorted((items[number] for number in folder), key=lambda item: places.get(item.path.name, len(first)))
    for number, item in zip(folder, ordered, strict=True):
        items[number] = item


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """All that was measured: tests that pass show no output of their own."""
    if FIGURES.lines:
        terminalreporter.section("end to end, on the cluster")
        for line in FIGURES.lines:
            terminalreporter.line(line)
