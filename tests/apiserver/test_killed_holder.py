"""The holder of the Lease killed, and partitioned: another operator takes over, and who comes back writes nothing.

"Partitioned" is SIGSTOP: the holder stands still, in the middle of publishing a Mailbox or with nothing to do, while
the other gets the Lease and carries out what is changed meanwhile; then it goes on.
"""

from __future__ import annotations

import base64
import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import psutil
import pytest
import yaml
from tests.apiserver.harness import ApiServer
from tests.apiserver.killing import Kill, Launcher, kind_of
from tests.apiserver.killworld import OURS, Place, World
from tests.fixtures_seaweed import Seaweed
from tests.harness.processes import wait_until

pytestmark = pytest.mark.cluster

CRDS = Path(__file__).parents[2] / "crds"
PATIENCE = 120.0  # seconds


class Two:
    """Two operators of one installation, in a World whose own operator is not started."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.prepare()
        self._running: dict[str, ForkServerProcess] = {}

    def start(self, name: str, kill: Kill | None = None) -> int:
        """Its process."""
        folder = self.world.folder
        config = folder / f"{name}.yaml"
        config.write_text(yaml.safe_dump(self.world.settings(name)))
        place, journal = self.world.place, folder / f"journal-{name}"
        process = place.launcher.start(config, place.server.kubeconfig, folder / f"{name}.log", journal, kill)
        self._running[name] = process
        assert process.pid is not None
        return process.pid

    def written(self, name: str) -> list[str]:
        """What it has written but its Lease and Events."""
        file = self.world.folder / f"journal-{name}"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in lines if kind_of(line) not in ("lease", "events")]

    def end(self) -> None:
        for process in self._running.values():
            process.kill()
            process.join()
        self.world.end()

    # what is so

    def holder(self) -> str:
        lease = self.world.api.listed("apis/coordination.k8s.io/v1/leases", self.world.name)
        return str(lease[0]["spec"].get("holderIdentity") or "") if lease else ""

    def ready(self, *names: str) -> bool:
        found = {raw["metadata"]["name"]: raw for raw in self.world.api.listed(f"{OURS}/mailboxes", self.world.name)}
        return all(
            any(line["type"] == "Ready" and line["status"] == "True" for line in _conditions(found[name]))
            for name in names
        )

    def verifier(self) -> str:
        """Of bob, as the directory has it."""
        for key, data in self.world.bucket.objects().items():
            if key.endswith("directory/guest.test/bob/address"):
                return data.decode()
        return ""

    def change_password(self) -> None:
        data = {"data": {"password": base64.b64encode(b"another").decode()}}
        self.world.api.ask("PATCH", f"api/v1/namespaces/{self.world.name}/secrets/given", data)


def _conditions(raw: dict) -> list[dict]:  # type: ignore[type-arg]
    return list(raw.get("status", {}).get("conditions", []))


@pytest.fixture
def two(apiserver: ApiServer, seaweed: Seaweed, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Two]:
    apiserver.kubectl("apply", "--server-side", "-f", CRDS)
    place = Place(apiserver, seaweed, Launcher(), tmp_path)
    name = request.node.name.replace("_", "-").replace("[", "-").replace("]", "")[-40:].strip("-")
    made = Two(World(place, name))
    yield made
    made.end()
    place.launcher.stop()


def test_another_takes_over_from_a_holder_that_was_killed(two: Two) -> None:
    first = two.start("one")
    _until(lambda: two.ready("alice", "bob", "carol"), "all are ready")
    two.start("two")
    os.kill(first, signal.SIGKILL)
    before = two.verifier()
    two.change_password()
    _until(lambda: two.verifier() != before, "the other one publishes the new password")
    assert two.holder() == "two"


def test_a_holder_that_stood_still_with_nothing_to_do_writes_nothing(two: Two) -> None:
    first = two.start("one")
    _until(lambda: two.ready("alice", "bob", "carol"), "all are ready")
    _stands_still(two, first, lambda: os.kill(first, signal.SIGSTOP))


@pytest.mark.parametrize("where", ["incarnation", "log", "address"])
def test_a_holder_that_stood_still_amid_a_mailbox_writes_nothing(two: Two, where: str) -> None:
    """It stands still when bob's incarnation, first commit or address is written and the answer is on its way."""
    first = two.start("one", Kill("work", 1, "frozen", only=f"guest.test/bob/(.*/)?{where}"))
    _stands_still(two, first, lambda: None)


def _stands_still(two: Two, first: int, stop: Callable[[], None]) -> None:
    stop()
    _until(lambda: psutil.Process(first).status() == psutil.STATUS_STOPPED, "it stands still")
    written = two.written("one")
    two.start("two")
    _until(lambda: two.ready("alice", "bob", "carol"), "the other one has opened all")
    before = two.verifier()
    two.change_password()
    _until(lambda: two.verifier() not in ("", before), "the other one publishes the new password")
    assert two.holder() == "two"
    published = two.verifier()

    os.kill(first, signal.SIGCONT)
    _until(lambda: _looks_at_the_lease(two), "the first one is awake, and sees who holds the Lease")
    assert two.written("one") == written, "it writes nothing, to the bucket or to the API server"
    assert two.verifier() == published
    assert two.holder() == "two"


def _looks_at_the_lease(two: Two) -> bool:
    """Several times since: all that it had begun has gone on by then."""
    return two.world.lines("looks-one").count("other") >= 5


def _until(true: Callable[[], bool], what: str) -> None:
    wait_until(true, PATIENCE, what, 0.2)
