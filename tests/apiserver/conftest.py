"""`apiserver`: one real API server for the session; `namespace`: a fresh one for each test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from tests.apiserver.harness import ApiServer
from tests.cluster import binaries
from tests.harness.need import missing

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The session's. A test that stops it makes its own: `ApiServer(tmp_path / "api")`."""
    need_apiserver()
    with ApiServer(tmp_path_factory.mktemp("apiserver") / "api") as server:
        yield server


@pytest.fixture
def namespace(apiserver: ApiServer) -> str:
    """A namespace of the test's own. It stays: there is no node that would run anything in it."""
    name = f"test-{next(_NUMBERS)}"
    apiserver.kubectl("create", "namespace", name)
    return name


def need_apiserver() -> None:
    """Skip, naming what is missing, where the programs are neither built nor can be."""
    for what in binaries.missing(binaries.CONTROL_PLANE):
        missing(what)
