"""Fixtures for tests that need a running server: one Mailpod for the session, a mailbox of its own for each test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from tests.cluster.fixtures import Cluster, cluster, namespace
from tests.fixtures_seaweed import Seaweed, seaweed
from tests.fixtures_versitygw import Versity, versity
from tests.harness import manifest
from tests.harness.server import Mailpod
from tests.harness.target import Account, Target

# No deadline: a busy machine is no fault. In CI the same code meets the same examples, so that a red run is a change's
# own; everywhere else each run tries new ones.
hypothesis.settings.register_profile("mailpod", deadline=None, print_blob=True, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("mailpod")

MAILBOXES = 160
"""More than the tests that ask for one; each is used by one test only, so no test sees another's mail."""

__all__ = ["Cluster", "Seaweed", "Versity", "cluster", "namespace", "seaweed", "versity"]

MakeMailpod = Callable[..., Mailpod]


@pytest.fixture(scope="session")
def mailpod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mailpod]:
    """The session's server. Tests must not stop it, change its manifest or log in with wrong passwords."""
    server = Mailpod(tmp_path_factory.mktemp("mailpod"), manifest.accounts(MAILBOXES))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """The session's Mailpod; with MAILPOD_TEST_TARGET=peers Postfix and Dovecot, to try the tests themselves."""
    if os.environ.get("MAILPOD_TEST_TARGET") == "peers":
        from benchmarks.peers import Peers

        with Peers(manifest.accounts(MAILBOXES)) as peers:
            yield peers.target()
        return
    server: Mailpod = request.getfixturevalue("mailpod")
    yield server.target()


@pytest.fixture(scope="session")
def unused(target: Target) -> Iterator[Account]:
    return iter(target.accounts)


@pytest.fixture
def account(unused: Iterator[Account]) -> Account:
    """An account that no other test uses."""
    return next(unused)


@pytest.fixture
def other(unused: Iterator[Account]) -> Account:
    """A second account that no other test uses."""
    return next(unused)


@pytest.fixture
def make_mailpod(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeMailpod]:
    """Make a server of the test's own, which it may kill and change: `make_mailpod(accounts=3, pods=2)`."""
    made: list[Mailpod] = []
    numbers = itertools.count()

    def make(accounts: int = 2, *, start: bool = True, **options: Any) -> Mailpod:
        server = Mailpod(tmp_path / f"mailpod-{next(numbers)}", manifest.accounts(accounts), **options)
        made.append(server)
        return server.start() if start else server

    request.node.stash[SERVERS] = made
    yield make
    for server in made:
        server.stop()


SERVERS: pytest.StashKey[list[Mailpod]] = pytest.StashKey()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failed test shows the log of every server that it met."""
    outcome: Any = yield
    report = outcome.get_result()
    if not report.failed:
        return
    fixtures: dict[str, Any] = getattr(item, "funcargs", {})
    made: list[Mailpod] = item.stash.get(SERVERS, [])
    servers = list(made)
    servers += [value for value in fixtures.values() if isinstance(value, Mailpod) and value not in servers]
    for server in servers:
        report.sections.append((f"log of {server.home.name}", server.log_tail()))
