"""`kill -9` at random moments: every acknowledged change is there afterwards, once, and no message is damaged."""

from __future__ import annotations

import datetime
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from tests.conftest import MakeMailpod
from tests.crash.ledger import Ledger, Verdict
from tests.crash.restarting import at_once
from tests.crash.workers import Appender, Deliverer, Flagger, Plan, Worker, at_work
from tests.harness.clients import stored
from tests.harness.imap import Imap
from tests.harness.server import Mailpod
from tests.harness.target import Account, Target

DELIVERERS = 4


@dataclass(frozen=True)
class Size:
    deliveries: int
    appends: int
    flag_changes: int
    kills: int


QUICK = Size(deliveries=240, appends=40, flag_changes=100, kills=3)
FULL = Size(deliveries=2000, appends=200, flag_changes=500, kills=10)
HALF = Size(deliveries=1000, appends=100, flag_changes=250, kills=5)


def kill_at_random(server: Mailpod, kills: int, rng: random.Random, met: Callable[[], bool]) -> int:
    """Kill a random pod at random moments; it is back before the next is killed, so something always serves.

    `met`: whether a kill met a transaction. Until one has, kills go on. Returns how many there were.
    """
    done = 0
    while done < kills or (not met() and done < 3 * kills):
        time.sleep(rng.uniform(0.02, 0.8))
        server.wait_restarted(server.kill_pod(rng.randrange(server.pods)))
        done += 1
    return done


def all_mail(target: Target, accounts: Sequence[Account]) -> dict[str, list[bytes]]:
    return {account.address: stored(target, account) for account in accounts}


def settled(ledger: Ledger, target: Target, accounts: Sequence[Account]) -> Verdict:
    """The verdict, once what was acknowledged for several recipients has been handed out (STORE.md rule 17)."""
    deadline = time.monotonic() + 30
    while True:
        verdict = ledger.judge(all_mail(target, accounts))
        if not verdict.lost or time.monotonic() > deadline:
            return verdict
        time.sleep(0.5)


def run(server: Mailpod, seed: int, size: Size) -> None:
    rng = random.Random(seed)
    ledger = Ledger(seed)
    targets = [server.pod_target(pod) for pod in range(server.pods)] if server.pods > 1 else [server.target()]
    *receivers, appended, flagged = server.accounts
    with Imap(targets[0], flagged) as imap:
        for _ in range(40):
            identity, message = ledger.letter([flagged.address])
            assert imap.append("INBOX", message).ok
            ledger.acknowledge(identity)
    killed = threading.Event()
    plans = [Plan(targets, seed * 100 + n, killed) for n in range(DELIVERERS + 2)]
    share = size.deliveries // DELIVERERS
    deliverers = [Deliverer(plan, share, ledger, receivers) for plan in plans[2:]]
    appender = Appender(plans[0], size.appends, ledger, appended)
    flagger = Flagger(plans[1], size.flag_changes, flagged)
    workers: list[Worker] = [*deliverers, appender, flagger]
    with at_work(workers, killed, 300):
        kills = kill_at_random(server, size.kills, rng, lambda: any(worker.met for worker in deliverers))
    assert len(ledger.acknowledged) > size.deliveries // 2, "hardly anything was taken"
    unanswered = set(ledger.sent) - ledger.acknowledged
    assert unanswered, "no kill met a transaction, so nothing was shown"
    print(f"seed {seed}: {len(ledger.sent)} sent, {len(unanswered)} unanswered, {kills} kills")
    judge(server, ledger, targets, appender, flagger)


class Server(Protocol):
    """What is judged: it can be started from its bucket alone."""

    @property
    def accounts(self) -> Sequence[Account]: ...

    def start(self) -> object: ...

    def stop(self) -> None: ...


def judge(server: Server, ledger: Ledger, targets: Sequence[Target], appender: Appender, flagger: Flagger) -> None:
    # what the living pods say, and what a start from the bucket alone says
    for restarted in (False, True):
        if restarted:
            server.stop()
            server.start()
        for target in targets:
            verdict = settled(ledger, target, server.accounts)
            assert not verdict, f"seed {ledger.seed}, restarted {restarted}: {verdict}"
            with Imap(target, flagger.account) as imap:
                imap.ok("EXAMINE INBOX")
                flagger.compare(imap)
            assert flagger.wrong == [], f"seed {ledger.seed}"
            with Imap(target, appender.account) as imap:
                imap.ok("EXAMINE INBOX")
                bodies = imap.bodies()
            assert [
                uid for uid, name in appender.given.items() if f"X-Transaction: {name}\r".encode() not in bodies[uid]
            ] == []


def test_kill_9_loses_and_doubles_nothing(make_mailpod: MakeMailpod, tmp_path: Path) -> None:
    run(make_mailpod(accounts=6, environment=at_once(tmp_path / "site")), seed=int(time.time()) % 10_000, size=QUICK)


def test_kill_9_of_either_of_two_pods_loses_and_doubles_nothing(make_mailpod: MakeMailpod, tmp_path: Path) -> None:
    run(
        make_mailpod(accounts=6, pods=2, environment=at_once(tmp_path / "site")),
        seed=int(time.time()) % 10_000,
        size=QUICK,
    )


_IN_CI = os.environ.get("CI") == "true"  # whose time is for one seed, another each day, and half of what it does


def _seeds() -> list[int]:
    today = datetime.datetime.now(datetime.UTC).date().toordinal()
    return [today % 10] if _IN_CI else list(range(10))


@pytest.mark.slow
@pytest.mark.parametrize("pods", [1, 2])
@pytest.mark.parametrize("seed", _seeds())
def test_kill_9_with_ten_seeds(make_mailpod: MakeMailpod, tmp_path: Path, seed: int, pods: int) -> None:
    run(
        make_mailpod(accounts=6, pods=pods, environment=at_once(tmp_path / "site")),
        seed=seed,
        size=HALF if _IN_CI else FULL,
    )
