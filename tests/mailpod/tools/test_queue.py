"""`mailpod queue` as an administrator runs it."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.harness.peer import Peer, running
from tests.harness.zone import Zone
from tests.mailpod.queue.outward import ZONE, pod, settled, until

from mailpod import cli, metrics
from mailpod.clock import SystemClock
from mailpod.store.folder import FolderObjects
from mailpod.store.outbound import Outbound, SpoolEntry, Standing
from mailpod.store.outcome import Outcome

Run = Callable[..., tuple[int, str]]
FIRST, SECOND = "018be3f77d39-e662d30ab697e6d2", "018be3f77d40-0000000000000001"


@pytest.fixture
def outbound(tmp_path: Path) -> Outbound:
    made = Outbound(FolderObjects(tmp_path / "data"), clock=SystemClock(), rng=random.Random(1))
    busy = Outcome("delayed", "4.7.1", "451 4.7.1 come back later", "mx.far.test", said=True, at=5.0)

    async def fill() -> None:
        await made.create(SpoolEntry(FIRST, "a@x.test", ("b@far.test", "c@near.test"), 0.0, user="a@x.test"), b"\r\n")
        await made.record(FIRST, 0, {"b@far.test": busy, "c@near.test": Outcome("relayed", "2.0.0")})
        await made.create(SpoolEntry(SECOND, "", ("d@near.test",), 0.0), b"\r\n")

    asyncio.run(fill())
    return made


@pytest.fixture
def run(tmp_path: Path, outbound: Outbound, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str]:
        status = cli.main(["queue", *arguments, "--bucket", str(tmp_path / "data")])
        output = capsys.readouterr()
        return status, output.out + output.err

    return call


def standing(outbound: Outbound, entry_id: str) -> Standing:
    return asyncio.run(outbound.standing(entry_id))


def test_list(run: Run) -> None:
    status, output = run("list")
    head, first, second = output.splitlines()
    assert status == 0 and head.split() == ["ID", "STATE", "SENDER", "RECIPIENTS", "AGE", "TRIES", "LAST"]
    assert first.split()[:4] == [FIRST, "waiting", "a@x.test", "b@far.test"]
    assert first.split(" d ")[1].split(None, 1) == ["1", "mx.far.test: 451 4.7.1 come back later"]
    assert second.split()[:4] == [SECOND, "waiting", "<>", "d@near.test"]


@pytest.mark.parametrize(("to", "found"), [("near.test", [SECOND]), ("B@far.test", [FIRST]), ("x.test", [])])
def test_those_that_wait_for_a_domain_or_an_address(run: Run, to: str, found: list[str]) -> None:
    assert [item["id"] for item in json.loads(run("list", "--to", to, "--json")[1])] == found


def test_show(run: Run) -> None:
    (item,) = json.loads(run("show", FIRST)[1])
    assert item["attempts"] == 1 and item["user"] == "a@x.test"
    assert item["recipients"][0] == {
        "address": "b@far.test", "outcome": "delayed", "status": "4.7.1", "text": "451 4.7.1 come back later",
        "host": "mx.far.test", "at": 5.0,
    }  # fmt: skip


def test_hold_and_release_again_and_again(run: Run, outbound: Outbound) -> None:
    for _ in range(2):
        assert run("hold", "--all") == (0, "2 messages on hold\n")
        assert run("hold", FIRST) == (0, "0 messages on hold\n")
        assert standing(outbound, FIRST).held and " held " in run("list")[1]
        assert run("release", "--to", "far.test") == (0, "1 message released\n")
        assert not standing(outbound, FIRST).held and standing(outbound, SECOND).held
        run("release", "--all")


def test_retry(run: Run, outbound: Outbound) -> None:
    for _ in range(2):
        assert run("retry", FIRST) == (0, "1 message to be tried again\n")
    assert standing(outbound, FIRST).hurried


def test_drop(run: Run, outbound: Outbound) -> None:
    assert run("drop", FIRST, SECOND) == (0, "2 messages dropped\n")
    assert run("list") == (0, "The queue is empty.\n")
    assert standing(outbound, FIRST).objects == 0


def test_mistakes(run: Run) -> None:
    assert run("show", "nothing") == (2, "mailpod: not in the queue: nothing\n")
    assert run("drop") == (2, "mailpod: drop needs an ID, --to or --all\n")


def test_a_restored_queue_waits_for_its_release(tmp_path: Path, run: Run, outbound: Outbound) -> None:
    """docs/recover.md, "A whole bucket": no pod runs when it is put on hold."""
    run("drop", "--all")
    gone = SpoolEntry(FIRST, "a@x.test", ("b@far.test",), 0.0, user="a@x.test", outward=True)
    asyncio.run(outbound.create(gone, b"\r\n"))
    shutil.copytree(tmp_path / "data", tmp_path / "backup")
    asyncio.run(outbound.settle(FIRST))
    shutil.copytree(tmp_path / "backup", tmp_path / "data", dirs_exist_ok=True)
    assert run("hold", "--all") == (0, "1 message on hold\n")

    async def serve() -> None:
        objects = FolderObjects(tmp_path / "data")
        async with running(Peer()) as peer:
            services = await pod(objects, Zone(*ZONE), peer.port)
            services.spool.start()
            await until(swept())
            await until(swept())
            assert metrics.SPOOL_HELD._value.get() == 1 and peer.connections == 0
            await services.spool.outbound.mark(FIRST, "release", 1)
            await settled(objects)
            assert [taken.recipients for taken in peer.messages] == [["b@far.test"]]
            await services.spool.stop()
            await services.store.close()

    asyncio.run(serve())


def swept() -> Callable[[], Awaitable[bool]]:
    """Whether the whole queue was looked at since."""
    before = metrics.SPOOL_SWEPT._value.get()

    async def again() -> bool:
        return metrics.SPOOL_SWEPT._value.get() != before

    return again
