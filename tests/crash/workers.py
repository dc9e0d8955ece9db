"""Clients that work while pods are killed under them, and write down what was acknowledged.

A worker whose connection broke opens a new one and goes on with a new transaction; what it waited for stays open.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from tests.crash.ledger import Ledger
from tests.harness.imap import Imap
from tests.harness.smtp import Smtp, stuffed
from tests.harness.target import Account, Target

BROKEN = (OSError, EOFError)
Connection = TypeVar("Connection", Smtp, Imap)
SENDER = "a@elsewhere.test"


class Gone(Exception):
    """The worker could not connect again in time."""


def again(connect: Callable[[], Connection], seconds: float = 60) -> Connection:
    """Connect, and try again while the pod is coming back."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return connect()
        except (*BROKEN, AssertionError) as error:
            if time.monotonic() > deadline:
                raise Gone(str(error)) from error
            time.sleep(0.02)


@dataclass(frozen=True)
class Plan:
    """Where a worker works and how long: until it has done its share, and all kills are over."""

    targets: Sequence[Target]
    seed: int
    killed: threading.Event


class Worker(threading.Thread):
    """A thread that keeps what went wrong for the test to raise."""

    def __init__(self, plan: Plan, share: int) -> None:
        super().__init__(daemon=True)
        self.plan, self.share = plan, share
        self.rng = random.Random(plan.seed)
        self.error: BaseException | None = None
        self.done = 0
        self.open = False
        """A transaction is under way whose answer has not come."""
        self.met = 0
        """Transactions that a kill met."""

    def broken(self) -> None:
        """The connection is."""
        self.met, self.open = self.met + self.open, False

    def target(self) -> Target:
        return self.rng.choice(self.plan.targets)

    def goes_on(self) -> bool:
        """Count one more piece of work; a breath between two lets a few thousand suffice for all the kills."""
        self.done += 1
        if len(self.plan.targets) > 1:
            time.sleep(self.rng.random() * 0.01)
        return self.done <= self.share or not self.plan.killed.is_set()

    def run(self) -> None:
        try:
            self.work()
        except BaseException as error:
            self.error = error

    def work(self) -> None:
        raise NotImplementedError


@contextmanager
def at_work(workers: Sequence[Worker], over: threading.Event, seconds: float) -> Iterator[None]:
    """They work beside what is done here, and end in time once it is `over`; raises what went wrong for one of them."""
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        over.set()
    for worker in workers:
        worker.join(seconds)
        assert not worker.is_alive(), f"{worker} hangs"
        if worker.error is not None:
            raise worker.error


class Deliverer(Worker):
    """Sends messages by SMTP, one in ten to two recipients."""

    def __init__(self, plan: Plan, share: int, ledger: Ledger, to: Sequence[Account]) -> None:
        super().__init__(plan, share)
        self.ledger, self.to = ledger, to

    def work(self) -> None:
        going = True
        while going:
            with again(lambda: Smtp(self.target(), timeout=60)) as smtp:
                try:
                    while going := self.goes_on():
                        self.deliver(smtp)
                except (*BROKEN, AssertionError):
                    self.broken()

    def deliver(self, smtp: Smtp) -> None:
        chosen = self.rng.sample(self.to, 2 if self.rng.randrange(10) == 0 else 1)
        recipients = [account.address for account in chosen]
        smtp.envelope(SENDER, recipients)
        smtp.expect(354, "DATA")
        identity, message = self.ledger.letter(recipients)
        self.open = True
        smtp.send(stuffed(message))
        if smtp.reply().code == 250:
            self.ledger.acknowledge(identity)
        self.open = False


class Appender(Worker):
    """Appends to INBOX; an acknowledged APPENDUID names its message for ever."""

    def __init__(self, plan: Plan, share: int, ledger: Ledger, account: Account) -> None:
        super().__init__(plan, share)
        self.ledger, self.account = ledger, account
        self.given: dict[int, str] = {}

    def work(self) -> None:
        going = True
        while going:
            with again(lambda: Imap(self.target(), self.account)) as imap:
                try:
                    while going := self.goes_on():
                        self.append(imap)
                except BROKEN:
                    continue

    def append(self, imap: Imap) -> None:
        identity, message = self.ledger.letter([self.account.address])
        result = imap.append("INBOX", message)
        if result.ok:
            self.ledger.acknowledge(identity)
            self.given[int(result.code(b"APPENDUID").split()[1])] = identity


class Flagger(Worker):
    """Changes flags of messages that stay. `possible[uid]` is every state that the last answers allow."""

    FLAGS = (b"\\Seen", b"\\Flagged", b"\\Answered", b"$One", b"$Two", b"three")

    def __init__(self, plan: Plan, share: int, account: Account, pause: float = 0.0) -> None:
        """`pause`: seconds in which what a dead pod had sent to its bucket lands."""
        super().__init__(plan, share)
        self.account, self.pause = account, pause
        self.possible: dict[int, set[frozenset[bytes]]] = {}
        self.wrong: list[str] = []

    def work(self) -> None:
        going = True
        while going:
            with again(self.connect) as imap:
                try:
                    while going := self.goes_on():
                        self.change(imap)
                except BROKEN:
                    time.sleep(self.pause)

    def connect(self) -> Imap:
        imap = Imap(self.target(), self.account)
        try:
            imap.ok("SELECT INBOX")
            self.compare(imap)
        except BaseException:
            imap.close()
            raise
        return imap

    def compare(self, imap: Imap) -> None:
        """What is there must be possible; then it is the only possibility."""
        for uid, flags in imap.flags().items():
            flags -= {b"\\Recent"}
            if flags not in self.possible.setdefault(uid, {flags}):
                self.wrong.append(f"{uid}: {sorted(flags)}, possible {[sorted(one) for one in self.possible[uid]]}")
            self.possible[uid] = {flags}

    def change(self, imap: Imap) -> None:
        uid = self.rng.choice(sorted(self.possible))
        flags = frozenset(self.rng.sample(self.FLAGS, self.rng.randrange(1, 4)))
        (before,) = self.possible[uid]
        sign, after = self.rng.choice([("+", before | flags), ("-", before - flags), ("", flags)])
        self.possible[uid] = {before, after}
        silent = self.rng.choice(["", ".SILENT"])
        result = imap.command(f"UID STORE {uid} {sign}FLAGS{silent} ({b' '.join(sorted(flags)).decode()})")
        if result.ok:
            self.possible[uid] = {after}
        else:
            self.compare(imap)
