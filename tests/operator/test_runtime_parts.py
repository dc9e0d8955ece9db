"""The queue, apply that is left out, the Lease, Events, status and finalizers, each alone."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any, cast

import pytest
from tests.operator.fakekube import FakeKube

from mailoperator import conditions as c
from mailoperator.applying import contains, ensure
from mailoperator.events import Events
from mailoperator.finalizers import PURGE, set_finalizer
from mailoperator.health import Heartbeat
from mailoperator.keyedqueue import KeyedQueue, Retry, Turn
from mailoperator.kube import ApiError, Kube, path_of
from mailoperator.leader import Leader, NotLeading
from mailoperator.rollouts import Rollouts
from mailoperator.run import registry, watch_settings
from mailoperator.settings import OperatorSettings, load_settings
from mailoperator.status import write_status
from mailoperator.world import World
from mailpod.clock import SystemClock

API = "mailpod.dev/v1alpha1"


class Time(SystemClock):
    def __init__(self) -> None:
        self.at = 1000.0

    def elapsed(self) -> float:
        return self.at

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds
        await asyncio.sleep(0)


class TestKeyedQueue:
    async def run(self, queue: KeyedQueue[str], seconds: float = 0.0) -> None:
        task = asyncio.create_task(queue.run())
        await asyncio.sleep(seconds)
        await queue.settled()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def test_a_key_never_runs_twice_at_a_time_and_is_not_forgotten(self) -> None:
        running: dict[str, int] = {}
        most, runs = 0, 0

        async def work(key: str) -> None:
            nonlocal most, runs
            running[key] = running.get(key, 0) + 1
            most, runs = max(most, running[key]), runs + 1
            if runs < 4:
                queue.add(key)  # while it runs
            await asyncio.sleep(0.01)
            running[key] -= 1

        queue = KeyedQueue(work)
        queue.add("a")
        queue.add("a")
        await self.run(queue)
        assert (most, runs) == (1, 4)

    async def test_no_more_than_the_limit_at_a_time(self) -> None:
        now = most = 0

        async def work(key: int) -> None:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.001)
            now -= 1

        queue = KeyedQueue(work, limit=4)
        for key in range(50):
            queue.add(key)
        await self.run(queue)  # type: ignore[arg-type]
        assert most == 4

    async def test_failures_come_back_later_each_time(self) -> None:
        seen: list[float] = []

        async def work(key: str) -> None:
            seen.append(asyncio.get_running_loop().time())
            if len(seen) < 4:
                raise ValueError("no")

        queue = KeyedQueue(work, first_delay=0.02, rng=random.Random(1))
        queue.add("a")
        await self.run(queue, 0.4)
        waits = [after - before for before, after in itertools.pairwise(seen)]
        assert len(waits) == 3
        assert waits[0] < waits[1] < waits[2]
        assert queue.waiting() == {}

    async def test_what_changed_goes_before_what_is_new_and_that_before_a_sweep(self) -> None:
        order: list[str] = []

        async def work(key: str) -> None:
            order.append(key)
            if key == "first" and order.count(key) == 1:
                queue.add("first", turn=Turn.SWEPT)  # while it runs: again, and after all others
                queue.add("late change", turn=Turn.CHANGED)

        queue = KeyedQueue(work, limit=1)
        for number in range(3):
            queue.add(f"swept {number}", turn=Turn.SWEPT)
        queue.add("new")
        queue.add("swept 2", turn=Turn.CHANGED)  # it was swept, and then somebody changed it: once, and soon
        queue.add("first", turn=Turn.CHANGED)
        queue.add("swept 2", turn=Turn.SWEPT)
        assert len(queue) == 5
        await self.run(queue)
        assert order == ["swept 2", "first", "late change", "new", "swept 0", "swept 1", "first"]
        assert len(queue) == 0

    async def test_what_will_pass_comes_back_when_it_said(self) -> None:
        runs = 0

        async def work(key: str) -> float | None:
            nonlocal runs
            runs += 1
            if runs == 1:
                raise Retry(0.02)
            return 0.02 if runs == 2 else None

        queue = KeyedQueue(work)
        queue.add("a")
        await self.run(queue, 0.2)
        assert runs == 3


class TestApplying:
    @pytest.mark.parametrize(
        ("live", "intent", "there"),
        [
            ({"a": 1, "b": 2}, {"a": 1}, True),
            ({"a": 1}, {"a": 2}, False),
            ({"cpu": "1"}, {"cpu": "1000m"}, True),
            ({"memory": "1Gi"}, {"memory": "1024Mi"}, True),
            ({"memory": "1Gi"}, {"memory": "1G"}, False),
            ({"x": [{"name": "b", "d": 1}, {"name": "a"}]}, {"x": [{"name": "a"}, {"name": "b"}]}, True),
            ({"x": [{"name": "a"}]}, {"x": [{"name": "a"}, {"name": "b"}]}, False),
            ({"args": ["a", "b"]}, {"args": ["b", "a"]}, False),
            ({}, {"podSelector": {}}, True),
            ({"a": True}, {"a": 1}, True),
        ],
    )
    def test_contains(self, live: Any, intent: Any, there: bool) -> None:
        assert contains(live, intent) is there

    async def test_a_write_only_where_something_differs(self) -> None:
        kube = FakeKube()
        obj = _object({"a": "1", "b": "2"})
        await ensure(kube, obj)
        await ensure(kube, obj)
        assert kube.writes == 1
        await ensure(kube, _object({"a": "1"}))  # a field less is seen by the hash
        assert kube.objects["v1", "ConfigMap", "n", "x"]["data"] == {"a": "1"}
        kube.objects["v1", "ConfigMap", "n", "x"]["data"]["a"] = "by hand"
        await ensure(kube, _object({"a": "1"}))
        assert kube.objects["v1", "ConfigMap", "n", "x"]["data"] == {"a": "1"}
        assert kube.writes == 3


class TestLeader:
    def candidate(self, kube: FakeKube, clock: Time, name: str) -> Leader:
        return Leader(kube, namespace="n", name="lease", identity=name, seconds=15, clock=clock)

    async def test_one_of_two_and_the_other_when_it_is_gone(self) -> None:
        kube, clock = FakeKube(), Time()
        one, two = self.candidate(kube, clock, "one"), self.candidate(kube, clock, "two")
        await one.renew()
        await two.renew()
        assert (one.is_leading, two.is_leading) == (True, False)
        for _ in range(4):
            clock.at += 4
            await two.renew()
            assert not (one.is_leading and two.is_leading)
        assert two.is_leading or not one.is_leading
        clock.at += 4
        await two.renew()
        assert two.is_leading
        await one.renew()
        assert not one.is_leading
        with pytest.raises(NotLeading):
            one.check()

    async def test_a_partitioned_holder_falls_silent_before_another_may_lead(self) -> None:
        kube, clock = FakeKube(), Time()
        one, two = self.candidate(kube, clock, "one"), self.candidate(kube, clock, "two")
        await one.renew()
        for _ in range(100):
            clock.at += 0.5
            await two.renew()
            assert not (one.is_leading and two.is_leading)
        assert two.is_leading

    async def test_released_it_is_free_at_once(self) -> None:
        kube, clock = FakeKube(), Time()
        one, two = self.candidate(kube, clock, "one"), self.candidate(kube, clock, "two")
        await one.renew()
        await one.release()
        await two.renew()
        assert two.is_leading
        assert not one.is_leading

    async def test_a_race_has_one_winner(self) -> None:
        kube, clock = FakeKube(), Time()
        candidates = [self.candidate(kube, clock, str(number)) for number in range(5)]
        await asyncio.gather(*(candidate.renew() for candidate in candidates))
        assert sum(candidate.is_leading for candidate in candidates) == 1


class TestStatus:
    async def write(self, kube: FakeKube, condition: c.Condition, now: float) -> dict[str, Any]:
        raw = kube.objects[API, "Mailbox", "n", "x"]
        await write_status(kube, Events(kube, Time()), raw, [condition], {"address": "x@x.test"}, now=now)
        return dict(raw["status"]["conditions"][0])

    async def test_a_time_moves_with_the_status_alone(self) -> None:
        kube = FakeKube()
        kube.user_applies({"apiVersion": API, "kind": "Mailbox", "metadata": {"name": "x", "namespace": "n"}})
        first = await self.write(kube, c.good(c.READY), 0)
        again = await self.write(kube, c.good(c.READY), 60)
        assert again == first
        assert kube.writes == 1
        worded = await self.write(kube, c.good(c.READY, "said otherwise"), 120)
        assert worded["lastTransitionTime"] == first["lastTransitionTime"]
        flipped = await self.write(kube, c.bad(c.READY, c.INVALID, "no"), 180)
        assert flipped["lastTransitionTime"] == "1970-01-01T00:03:00Z"


async def test_events_are_told_once_and_tried_again() -> None:
    kube, clock = FakeKube(), Time()
    events = Events(kube, clock)
    regarding = {"apiVersion": API, "kind": "Mailbox", "metadata": {"name": "x", "namespace": "n", "uid": "u"}}
    task = asyncio.create_task(events.run())
    kube.down = True
    events.tell(regarding, "Warning", "Bad", "why")
    events.tell(regarding, "Warning", "Bad", "why")
    await asyncio.sleep(0)
    kube.down = False
    await events.told()
    task.cancel()
    assert [event["reason"] for event in kube.events] == ["Bad"]


async def test_a_finalizer_is_set_over_a_conflict() -> None:
    kube = FakeKube()
    kube.user_applies({"apiVersion": API, "kind": "Mailbox", "metadata": {"name": "x", "namespace": "n"}})
    stale = await kube.get(API, "Mailbox", "n", "x")
    assert stale is not None
    kube.user_applies({"apiVersion": API, "kind": "Mailbox", "metadata": {"name": "x", "namespace": "n", "labels": {}}})
    kept = await set_finalizer(kube, stale, PURGE, True)
    assert kept is not None
    assert kept["metadata"]["finalizers"] == [PURGE]
    assert await set_finalizer(kube, kept, PURGE, True) == kept
    assert kube.writes == 1


async def test_only_a_stalled_watch_ends_the_operator() -> None:
    clock, answers = Time(), True

    async def ping() -> None:
        if not answers:
            raise ApiError(0, "Unreachable", "")

    heartbeat = Heartbeat(clock, expected=True, ping=ping)
    assert await heartbeat.alive()
    clock.at += 1000
    answers = False
    assert await heartbeat.alive(), "the API is down: a restart mends nothing"
    answers = True
    assert not await heartbeat.alive()
    heartbeat.beat()
    assert await heartbeat.alive()


def test_kopf_watches_and_leaves_no_mark() -> None:
    """OPERATOR.md rules 11, 12, 14 and 15."""
    made = watch_settings(OperatorSettings())
    assert made.persistence.finalizer.startswith("mailpod.dev/")
    for storage in (made.persistence.progress_storage, made.persistence.diffbase_storage):
        assert getattr(storage, "prefix", "") == "mailpod.dev"
    assert made.queueing.worker_limit is None
    waits = (made.watching.server_timeout, made.watching.client_timeout, made.watching.inactivity_timeout)
    assert all(waits) and made.watching.connect_timeout
    assert not made.posting.enabled
    watched = registry(OperatorSettings(), lambda type, raw: None, lambda: None, cast(Kube, FakeKube()))
    assert [handler.id for handler in watched._watching.get_all_handlers()] == ["seen"] * 5 + ["beaten"]
    others = (watched._changing, watched._spawning, watched._indexing)
    assert not [handler for kind in others for handler in kind.get_all_handlers()], "those put finalizers on objects"


def test_one_rollout_at_a_time() -> None:
    rollouts = Rollouts()
    assert rollouts.begin(("n", "a"), 0)
    assert not rollouts.begin(("n", "b"), 1)
    assert rollouts.begin(("n", "a"), 2)
    assert rollouts.begin(("n", "b"), 700), "one that is stuck holds nobody up for ever"
    rollouts.end(("n", "b"))
    assert rollouts.begin(("n", "a"), 701)


def test_the_world_ignores_what_is_older_than_it_knows() -> None:
    world = World()
    raw = {"kind": "Secret", "metadata": {"name": "x", "namespace": "n", "uid": "u", "resourceVersion": "9"}}
    assert world.put(raw)
    assert not world.put({**raw, "metadata": {**raw["metadata"], "resourceVersion": "8"}})  # type: ignore[dict-item]
    assert not world.remove("Secret", ("n", "x"), uid="another")
    assert world.replace("Secret", []) == {("n", "x")}


def test_paths() -> None:
    assert path_of("v1", "Secret", "n", "x") == "/api/v1/namespaces/n/secrets/x"
    assert path_of("mailpod.dev/v1alpha1", "Mailbox", None) == "/apis/mailpod.dev/v1alpha1/mailboxes"
    assert (
        path_of("networking.k8s.io/v1", "NetworkPolicy", "n")
        == "/apis/networking.k8s.io/v1/namespaces/n/networkpolicies"
    )
    assert path_of("v1", "ServiceAccount", "n", "a/b").endswith("/serviceaccounts/a%2Fb")


def test_settings_are_of_a_file_and_the_environment(tmp_path: Any) -> None:
    file = tmp_path / "operator.yaml"
    file.write_text("sweepSeconds: 60\nwatchNamespaces: [a]\n")
    settings = load_settings(file, {"MAILPOD_POD_NAME": "pod-1"})
    assert (settings.sweep_seconds, settings.watch_namespaces, settings.pod_name) == (60, ["a"], "pod-1")
    file.write_text("sweepSecond: 60\n")
    with pytest.raises(ValueError, match="sweepSecond"):
        load_settings(file, {})


def _object(data: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "n"}, "data": data}
