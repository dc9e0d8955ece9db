"""The operator killed after its k-th outgoing write: the end is an undisturbed run's, on a real API server and bucket.

MAILPOD_KILLS says how many: a number n is each n-th k (by default 2, which of them by the day of the year), each in one
of three ways (killing.VARIANTS), by turns; `all` is every k in every way, twenty minutes or more. Of the trial's
writes, which are many and alike, and of the Events it is a few k unless it is `all`.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.apiserver.harness import ApiServer
from tests.apiserver.killing import AMONG, VARIANTS, Among, Kill, Launcher, Variant, kind_of
from tests.apiserver.killstate import State
from tests.apiserver.killworld import Place, World
from tests.fixtures_seaweed import Seaweed

pytestmark = pytest.mark.cluster

CRDS = Path(__file__).parents[2] / "crds"
ASKED = os.environ.get("MAILPOD_KILLS", "2")
AT_ONCE = 6
SPARSE: dict[Among, int] = {"work": 1, "bucket": 1, "events": 4, "probe": 12, "lease": 5}
_TODAY = int(time.time() // 86_400)


@pytest.fixture(scope="module")
def place(apiserver: ApiServer, seaweed: Seaweed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    apiserver.kubectl("apply", "--server-side", "-f", CRDS)
    launcher = Launcher()
    yield Place(apiserver, seaweed, launcher, tmp_path_factory.mktemp("worlds"))
    launcher.stop()


def test_killed_at_each_write_the_end_is_the_same(place: Place) -> None:
    began = time.monotonic()
    undisturbed = {creates: World(place, f"undisturbed-{int(creates)}", creates=creates) for creates in (False, True)}
    with ThreadPoolExecutor(2) as pool:
        wanted = dict(zip(undisturbed, pool.map(lambda world: world.play(None), undisturbed.values()), strict=True))
    counts = {among: sum(kind_of(line) == among for line in undisturbed[among == "bucket"].journal) for among in AMONG}
    kills = [kill for among in AMONG for kill in planned(among, counts[among])]
    played = _Played(place, wanted)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(played.one, kills))
    done = Counter((kill.among, kill.variant) for kill in played.done)
    print(
        f"{len(kills)} worlds in {time.monotonic() - began:.0f} s; writes of an undisturbed run {counts}; killed {done}"
    )
    assert played.failures == [], "\n\n".join(played.failures)
    assert len(played.done) > 0.8 * len(kills), "most runs are long enough for their kill"


def planned(among: Among, count: int) -> list[Kill]:
    """The kills among `count` writes of a kind."""
    if ASKED == "all":
        # a run may have a write or two more than another
        return [Kill(among, k, variant) for k in range(1, count + 3) for variant in VARIANTS if _can(among, variant)]
    step = int(ASKED) * SPARSE[among]
    ks = range(1 + _TODAY % step, count + 1, step)
    return [Kill(among, k, _variant(among, number)) for number, k in enumerate(ks)]


def _variant(among: Among, number: int) -> Variant:
    ways = [variant for variant in VARIANTS if _can(among, variant)]
    return ways[(number + _TODAY) % len(ways)]


def _can(among: Among, variant: str) -> bool:
    """A trial whose writes are left unanswered finds the bucket unavailable, and is repeated half a minute later."""
    return not (among == "probe" and variant == "cut")


class _Played:
    """What became of the kills, of several threads."""

    def __init__(self, place: Place, wanted: dict[bool, list[State]]) -> None:
        self._place, self._wanted, self._lock = place, wanted, threading.Lock()
        self.done: list[Kill] = []
        self.failures: list[str] = []

    def one(self, kill: Kill) -> None:
        if len(self.failures) >= 3:
            return  # the rest would say the same, for a long time
        world = World(self._place, f"{kill.among}-{kill.k}-{kill.variant}", kill, creates=kill.among == "bucket")
        try:
            world.play(self._wanted[world.creates])
        except Exception as error:
            with self._lock:
                self.failures.append(f"{kill}: {_written(world, kill)}\n{error}")
        else:
            with self._lock:
                self.done += [kill] if world.killed or (kill.variant == "cut" and _written(world, kill)) else []


def _written(world: World, kill: Kill) -> str:
    """The write that the kill was at."""
    lines = [line for line in world.journal if kind_of(line) == kill.among]
    return lines[kill.k - 1] if len(lines) >= kill.k else ""


def test_each_k_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    """`all` leaves none out, and what a day leaves out another day has."""
    monkeypatch.setattr(f"{__name__}.ASKED", "all")
    assert {kill.k for kill in planned("work", 60)} >= set(range(1, 61))
    monkeypatch.setattr(f"{__name__}.ASKED", "2")
    found: set[int] = set()
    for day in range(24):
        monkeypatch.setattr(f"{__name__}._TODAY", day)
        found |= {kill.k for kill in planned("probe", 60)}
    assert found == set(range(1, 61))
