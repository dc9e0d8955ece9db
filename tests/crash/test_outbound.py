"""`kill -9` at random moments while mail leaves: each message arrives; twice only where a kill met its last answer."""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from pathlib import Path

import pytest
from tests.crash.workers import again
from tests.harness import processes, sink
from tests.harness.pods import Pods
from tests.harness.smtp import Smtp
from tests.harness.target import Account
from tests.operator import unbound

USER = Account("alice@home.test", "open sesame")
CLAIM = 8.0  # seconds: STORE.md rule 19's 40 minutes
SETTINGS = {
    "outbound": {
        "claim_seconds": CLAIM, "dot_within": 4, "dot_timeout": 3, "retry_first": 1, "retry_longest": 5,
        "backoff_first": 1,
    },
    "smtp": {"max_recipients_per_hour": 100_000},
    "queue": {"takeover_seconds": 0.5, "sweep_seconds": 2},
}  # fmt: skip
SUBMITTERS = 4


class Submitter(threading.Thread):
    """Sends its share through any pod; after a broken connection, the next message through another one."""

    def __init__(self, pods: Pods, number: int, share: int) -> None:
        super().__init__(daemon=True)
        self.pods, self.rng = pods, random.Random(number)
        self.share = [f"{number}-{count}" for count in range(share)]
        self.acknowledged: set[str] = set()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while self.share:
                self.session()
        except BaseException as error:
            self.error = error

    def session(self) -> None:
        client = again(self.connect)
        try:
            while self.share:
                name = self.share.pop()
                text = f"From: {USER.address}\r\nSubject: {name}\r\n\r\nHello.\r\n".encode()
                if client.deliver(USER.address, [f"bob@{self.rng.choice(['far', 'further'])}.test"], text).code == 250:
                    self.acknowledged.add(name)
        except (OSError, EOFError):
            return  # unanswered: it may arrive, or not
        finally:
            client.close()

    def connect(self) -> Smtp:
        client = Smtp(self.pods.target(self.rng.randrange(2)), "submission")
        client.login(USER)
        return client


def run(home: Path, messages: int, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    records = ["far.test. MX 10 mx.far.test.", "further.test. MX 10 mx.far.test.", "mx.far.test. A 127.0.0.1"]
    with sink.running(home / "sink") as there, unbound.running(home, records) as resolver:
        settings = SETTINGS | {"dns": {"resolver": resolver}}
        settings["outbound"] = SETTINGS["outbound"] | {"port": there.port}
        with Pods(home, [USER], "mail.home.test", 2, **settings) as pods:
            submitters = [Submitter(pods, number, messages // SUBMITTERS) for number in range(SUBMITTERS)]
            for submitter in submitters:
                submitter.start()
            killed = kill(pods, kills, rng)
            for submitter in submitters:
                submitter.join(120)
                assert submitter.error is None, submitter.error
            acknowledged = set().union(*(submitter.acknowledged for submitter in submitters))
            assert len(acknowledged) > messages // 2
            queue = home / "bucket" / "outbound"
            processes.wait_until(lambda: not any(queue.glob("*/message")), 120, "the queue is empty", 0.5)
            judge(there.times(), acknowledged, killed, seed)


def kill(pods: Pods, kills: int, rng: random.Random) -> list[float]:
    """When each was."""
    times = []
    for _ in range(kills):
        time.sleep(rng.uniform(0.1, 1.0))
        pod = rng.randrange(2)
        times.append(time.time())
        pods.kill(pod)
        pods.start(pod)
    return times


def judge(arrived: dict[str, list[float]], acknowledged: set[str], killed: list[float], seed: int) -> None:
    assert not (missing := acknowledged - arrived.keys()), f"seed {seed}: {len(missing)} never arrived"
    twice = {name: sorted(times) for name, times in arrived.items() if len(times) > 1}
    print(f"seed {seed}: {len(acknowledged)} accepted, {len(killed)} kills, {len(twice)} arrived twice")
    for name, times in twice.items():
        for first, second in itertools.pairwise(times):
            met = [at for at in killed if first - 1 <= at <= first + 4]  # files have the sink's time, a second's grain
            assert met, f"seed {seed}: {name} arrived at {first} and {second}, and no kill was near: {killed}"
            assert second - first >= CLAIM - 2, f"seed {seed}: {name} was sent again before the claim ended"


@pytest.mark.slow
def test_kill_9_while_mail_leaves(tmp_path: Path) -> None:
    """The whole by hand: MAILPOD_OUTBOUND=5000."""
    messages = int(os.environ.get("MAILPOD_OUTBOUND", "500"))
    run(tmp_path, messages, kills=max(3, messages // 150), seed=int(time.time()) % 10_000)
