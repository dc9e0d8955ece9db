"""Two real pods on SeaweedFS that are killed, stand still for longer than GRACE, and lose answers of the bucket.

    python -m tests.crash.seaweedfs --minutes 10

runs as often as the time allows, each run with a bucket and a seed of its own, and says how often; nothing that was
acknowledged may be lost or there twice, no flag that was acknowledged may differ.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.crash.cutting import CuttingProxy
from tests.crash.ledger import Ledger
from tests.crash.test_kill import judge
from tests.crash.workers import Appender, Deliverer, Flagger, Plan, Worker, at_work
from tests.fixtures_seaweed import Seaweed
from tests.harness import manifest
from tests.harness.imap import Imap
from tests.harness.pods import Pods
from tests.harness.target import Account

GRACE = 3.0  # seconds
CUT = 0.02  # answers that are not passed on
STORE = {
    "grace": GRACE, "checkpoint_commits": 8, "checkpoint_interval": 0.5, "collect_checkpoints": 1,
    "pack_objects": 16, "pack_newest": 4, "own_object_age": GRACE / 2, "unreferenced_age": 4 * GRACE, "search_due": 32,
}  # fmt: skip
QUEUE = {"takeover_seconds": 0.5, "sweep_seconds": 2, "claim_seconds": 5}


class Cluster:
    """Pods that can be started from the bucket again."""

    def __init__(self, pods: Pods, count: int) -> None:
        self._pods, self._count = pods, count

    @property
    def accounts(self) -> Sequence[Account]:
        return self._pods.accounts

    def start(self) -> None:
        for pod in range(self._count):
            self._pods.start(pod)

    def stop(self) -> None:
        self._pods.stop()


def trouble(pods: Pods, rng: random.Random, count: int) -> Counter[str]:
    """Kill a pod, or stop it for longer than GRACE; before the next it serves again."""
    done: Counter[str] = Counter()
    for turn in range(count):
        time.sleep(rng.uniform(0.2, 1.0))
        pod = rng.randrange(2)
        if turn % 2:
            pods.freeze(pod)
            time.sleep(GRACE * rng.uniform(1.1, 1.5))
            pods.thaw(pod)
            done["stopped past GRACE"] += 1
        else:
            pods.kill(pod)
            pods.start(pod)
            done["killed"] += 1
    return done


def run(home: Path, seaweed: Seaweed, seed: int, troubles: int = 6) -> str:
    """One run; a line about it. The environment has SeaweedFS's credentials. Raises AssertionError where something is
    lost."""
    rng, ledger = random.Random(seed), Ledger(seed)
    with ExitStack() as stack:
        proxy = stack.enter_context(CuttingProxy(seaweed.endpoint, seed))
        url = seaweed.url("crash", seaweed.new_bucket()).replace(seaweed.endpoint, proxy.endpoint)
        pods = Pods(home, manifest.accounts(5), manifest.HOSTNAME, 2, bucket=url, store=STORE, queue=QUEUE)
        cluster = Cluster(pods, 2)
        stack.callback(cluster.stop)
        cluster.start()
        targets = [pods.target(pod) for pod in range(2)]
        *receivers, appended, flagged = pods.accounts
        with Imap(targets[0], flagged) as imap:
            for _ in range(20):
                identity, message = ledger.letter([flagged.address])
                if imap.append("INBOX", message).ok:
                    ledger.acknowledge(identity)
        over = threading.Event()
        plans = [Plan(targets, seed * 100 + number, over) for number in range(4)]
        appender, flagger = Appender(plans[0], 1, ledger, appended), Flagger(plans[1], 1, flagged, pause=2.0)
        workers: list[Worker] = [appender, flagger, *(Deliverer(plan, 1, ledger, receivers) for plan in plans[2:])]
        proxy.chance = CUT
        with at_work(workers, over, 120):
            done = trouble(pods, rng, troubles)
        proxy.chance = 0.0
        judge(cluster, ledger, targets, appender, flagger)
        unanswered = len(set(ledger.sent) - ledger.acknowledged)
    what = ", ".join(f"{count} {name}" for name, count in done.items())
    return (f"seed {seed}: {len(ledger.sent)} sent, {unanswered} unanswered, {flagger.done} flag changes; {what},"
            f" {proxy.cuts} answers cut")  # fmt: skip


def repeat(run: Callable[[Path, Seaweed, int], str], what: str) -> int:
    """`run`, as often as the command line allows."""
    parser = argparse.ArgumentParser(description=what, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory() as folder:
        seaweed = Seaweed(Path(folder) / "seaweed").start()
        os.environ |= seaweed.environment
        try:
            for count in itertools.count():
                if time.monotonic() > end:
                    break
                print(run(Path(folder) / str(count), seaweed, options.first + count), flush=True)
        finally:
            seaweed.stop()
    print(f"{count} runs: nothing lost, nothing twice")
    return 0


def main() -> int:
    return repeat(run, __doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
