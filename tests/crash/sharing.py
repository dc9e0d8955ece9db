"""Mailboxes shared across two real pods on SeaweedFS that are killed, and lose answers of the bucket: an owner grants,
takes and writes, guests read, append, flag and are NOTIFYed, each at either pod.

    python -m tests.crash.sharing --minutes 10

Nothing that was acknowledged is lost or there twice. Of what came after a right to read was taken, and the taking was
acknowledged, no guest is sent a byte or a count, until they may read again; no command that began then does what it has
no right to; a mailbox that was made while nobody had a right is never named to them.
"""

from __future__ import annotations

import random
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.crash.cutting import CuttingProxy
from tests.crash.ledger import IDENTITY, Ledger
from tests.crash.seaweedfs import CUT, STORE, Cluster, repeat
from tests.crash.workers import BROKEN, Plan, Worker, again, at_work
from tests.fixtures_seaweed import Seaweed
from tests.harness import manifest
from tests.harness.imap import Imap, Response, Result
from tests.harness.pods import Pods
from tests.harness.processes import wait_until
from tests.harness.target import Account

from mailpod.directory import LATER

_TEAM = "Team"
_SECRET = "secret"  # in names and bytes that no guest may ever see
_RIGHTS = ("", "", "l", "l", "li", "lr", "lri", "lrw", "lrwi", "i")
_UIDNEXT = re.compile(rb"UIDNEXT (\d+)")


@dataclass(slots=True)
class Grant:
    """What one guest may do from `asked` at the earliest, and from `answered` at the latest; None: perhaps never."""

    rights: str
    asked: float
    answered: float | None = None


@dataclass(slots=True)
class Shared:
    """What everybody did, in time.monotonic. Grants take effect in the order in which they were asked for."""

    owner: Account
    ledger: Ledger
    grants: dict[str, list[Grant]]
    lock: threading.Lock = field(default_factory=threading.Lock)
    sent: dict[str, float] = field(default_factory=dict)  # messages by identity, when they were sent
    uids: dict[int, float] = field(default_factory=dict)  # the same by UID, of those whose answer says it
    flagged: set[tuple[int, str]] = field(default_factory=set)  # UIDs and keywords, acknowledged
    told: list[tuple[Account, int, float, bytes]] = field(default_factory=list)  # to whom, of which newest UID, when

    @property
    def name(self) -> str:
        """For guests."""
        return f"Other Users/{self.owner.address}/{_TEAM}"

    def check(self, guest: Account, right: str, since: float, what: str, now: float | None = None) -> None:
        """Somewhere from `since` to now the guest may have had the right. Raises AssertionError."""
        now = time.monotonic() if now is None else now
        with self.lock:
            grants = list(self.grants[guest.address])
        for grant in reversed(grants):
            if right in grant.rights and grant.asked <= now:
                return
            if grant.answered is not None and grant.answered < since:
                break
        raise AssertionError(f"{guest.address} {what}, without the right {right} since {now - since:.3f} s at least")

    def check_told(self) -> None:
        """When all UIDs are known. Raises AssertionError."""
        for guest, uid, when, text in self.told:
            self.check(guest, "r", self.uids.get(uid, 0.0), f"was told {text!r}", when)

    def append(self, imap: Imap, name: str) -> Result:
        """To the shared mailbox; it is checked in the end if it was acknowledged."""
        identity, message = self.ledger.letter([self.owner.address])
        self.sent[identity] = began = time.monotonic()
        result = imap.append(name, message)
        if result.ok:
            self.ledger.acknowledge(identity)
            if b"[APPENDUID" in result.tagged:
                self.uids[int(result.code(b"APPENDUID").split()[1])] = began
        return result


class Party(Worker):
    """Connects again and again; `steps` are done until the connection breaks."""

    def __init__(self, plan: Plan, shared: Shared, account: Account) -> None:
        super().__init__(plan, 1)
        self.shared, self.account = shared, account

    def work(self) -> None:
        while not self.plan.killed.is_set():
            with again(lambda: Imap(self.target(), self.account)) as imap, suppress(*BROKEN):
                self.begin(imap)
                for _ in range(self.rng.randrange(5, 40)):
                    if self.plan.killed.is_set():
                        break
                    self.step(imap)
                    time.sleep(self.rng.random() * 0.05)

    def begin(self, imap: Imap) -> None:
        return None

    def step(self, imap: Imap) -> None:
        raise NotImplementedError


class Owner(Party):
    def step(self, imap: Imap) -> None:
        self.done += 1
        match self.rng.choice(["grant", "grant", "grant", "append", "append", "take", "secret", "secret"]):
            case "grant":
                self.grant(imap, self.rng.choice(sorted(self.shared.grants)), self.rng.choice(_RIGHTS))
                self.shared.append(imap, _TEAM)
            case "take":
                for guest in self.shared.grants:
                    self.grant(imap, guest, "")
            case "append":
                self.shared.append(imap, _TEAM)
            case "secret" if self._nobody():
                name = f"{_TEAM}/{_SECRET}{self.done}"
                imap.command(f"CREATE {name}")
                imap.append(name, f"Subject: {_SECRET}\r\n\r\n{_SECRET}\r\n".encode())

    def grant(self, imap: Imap, guest: str, rights: str) -> bool:
        grant = Grant(rights, time.monotonic())
        with self.shared.lock:
            self.shared.grants[guest].append(grant)
        if imap.command(f'SETACL {_TEAM} {guest} "{rights}"').ok:
            grant.answered = time.monotonic()
        return grant.answered is not None

    def _nobody(self) -> bool:
        """Whether it is sure that nobody has a right."""
        last = [grants[-1] for grants in self.shared.grants.values()]
        return all(grant.answered is not None and not grant.rights for grant in last)


class Guest(Party):
    """What it is sent, it may be sent."""

    def ask(self, imap: Imap, command: str) -> Result:
        result = imap.command(command)
        self.look(result.untagged)
        return result

    def look(self, responses: Iterable[Response]) -> None:
        for response in responses:
            for part in (response.text, *response.literals):
                assert _SECRET.encode() not in part, f"{self.account.address} was sent {part!r}"
                for identity in IDENTITY.findall(part):
                    since = self.shared.sent[identity.decode()]
                    self.shared.check(self.account, "r", since, f"was sent message {identity.decode()}")
            if _TEAM.encode() in response.text and (found := _UIDNEXT.search(response.text)):
                self.shared.told.append((self.account, int(found[1]) - 1, time.monotonic(), response.text))

    def allowed(self, result: Result, right: str, began: float) -> bool:
        if result.ok:
            self.shared.check(self.account, right, began, f"was answered {result.tagged!r}")
            self.done += 1
        return result.ok


class Visitor(Guest):
    """Names the mailbox anew for each thing, or keeps it selected for several."""

    def step(self, imap: Imap) -> None:
        name, began = self.shared.name, time.monotonic()
        match self.rng.choice(["read", "read", "append", "status", "list"]):
            case "read":
                if self.allowed(self.ask(imap, f'SELECT "{name}"'), "r", began):
                    for _ in range(self.rng.randrange(1, 6)):
                        self._inside(imap)
                        time.sleep(self.rng.random() * 0.1)
            case "append":
                self.allowed(self.shared.append(imap, name), "i", began)
            case "status":
                self.allowed(self.ask(imap, f'STATUS "{name}" (MESSAGES UIDNEXT)'), "r", began)
            case "list":
                self.ask(imap, 'LIST "" *')

    def _inside(self, imap: Imap) -> None:
        self.ask(imap, "FETCH *:* (UID FLAGS BODY.PEEK[])")
        began, keyword = time.monotonic(), f"{self.account.local}{self.rng.randrange(3)}"
        uids = sorted(self.shared.uids)
        if uids:
            uid = self.rng.choice(uids)
            result = self.ask(imap, f"UID STORE {uid} +FLAGS ({keyword})")
            if self.allowed(result, "w", began) and result.texts(b"FETCH"):
                self.shared.flagged.add((uid, keyword))


class Watcher(Guest):
    """NOTIFY of all that others share."""

    def begin(self, imap: Imap) -> None:
        events = "(MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange)"
        self.ask(imap, f'NOTIFY SET STATUS (subtree "Other Users" {events})')

    def step(self, imap: Imap) -> None:
        for response in self.ask(imap, "NOOP").untagged:
            self.done += response.text.startswith(b"* STATUS")


def trouble(pods: Pods, rng: random.Random, count: int) -> Counter[str]:
    done: Counter[str] = Counter()
    for _ in range(count):
        time.sleep(rng.uniform(0.5, 1.5))
        pod = rng.randrange(2)
        pods.kill(pod)
        pods.start(pod)
        done["killed"] += 1
    return done


def run(home: Path, seaweed: Seaweed, seed: int, troubles: int = 6) -> str:
    """One run; a line about it. The environment has SeaweedFS's credentials. Raises AssertionError."""
    rng = random.Random(seed)
    with ExitStack() as stack:
        proxy = stack.enter_context(CuttingProxy(seaweed.endpoint, seed))
        url = seaweed.url("sharing", seaweed.new_bucket()).replace(seaweed.endpoint, proxy.endpoint)
        pods = Pods(
            home, manifest.accounts(3), manifest.HOSTNAME, 2, bucket=url, reads=LATER,
            store=STORE, imap={"idle_refresh_seconds": 0.5},
        )  # fmt: skip
        cluster = Cluster(pods, 2)
        stack.callback(cluster.stop)
        cluster.start()
        owner, *guests = pods.accounts
        shared = Shared(owner, Ledger(seed), {guest.address: [Grant("", 0.0, 0.0)] for guest in guests})
        targets = [pods.target(pod) for pod in range(2)]
        over = threading.Event()
        plans = iter([Plan(targets, seed * 100 + number, over) for number in range(5)])
        host = Owner(next(plans), shared, owner)
        with again(lambda: Imap(targets[0], owner)) as imap:
            imap.ok(f"CREATE {_TEAM}")
            for guest in guests:  # so that NOTIFY finds the owner from the first moment on
                assert host.grant(imap, guest.address, "lr")
        parties: list[Party] = [host]
        parties += [kind(next(plans), shared, guest) for kind in (Visitor, Watcher) for guest in guests]
        proxy.chance = CUT
        with at_work(parties, over, 120):
            done = trouble(pods, rng, troubles)
        shared.check_told()
        proxy.chance = 0.0
        _take_all(host, pods, guests)
        cluster.stop()
        _judge(shared, pods)
    asked = sum(map(len, shared.grants.values()))
    allowed, told = sum(party.done for party in parties[1:3]), sum(party.done for party in parties[3:])
    return (f"seed {seed}: {asked} grants, {len(shared.sent)} sent, {len(shared.flagged)} flag changes, {allowed} times"
            f" allowed, {told} times told; {done['killed']} killed, {proxy.cuts} answers cut")  # fmt: skip


def _take_all(host: Owner, pods: Pods, guests: Iterable[Account]) -> None:
    """Who has the mailbox selected when the right is taken is shut out, at either pod."""
    with ExitStack() as stack:
        imap = stack.enter_context(again(lambda: Imap(pods.target(0), host.account)))
        inside = []
        for pod, guest in enumerate(guests):
            assert host.grant(imap, guest.address, "lr")
            inside.append(again(partial(Imap, pods.target(pod), guest)))
            stack.callback(inside[-1].close)
            inside[-1].ok(f'SELECT "{host.shared.name}"')
            assert host.grant(imap, guest.address, "")
        for each in inside:
            wait_until(_ended(each), 30, "a guest whose right was taken is still inside")


def _ended(imap: Imap) -> Callable[[], bool]:
    def look() -> bool:
        try:
            imap.command("NOOP")
        except BROKEN:
            return True
        return False

    return look


def _judge(shared: Shared, pods: Pods) -> None:
    """From the bucket alone."""
    pods.start(0)
    with again(lambda: Imap(pods.target(0), shared.owner)) as imap:
        imap.ok(f"SELECT {_TEAM}")
        verdict = shared.ledger.judge({shared.owner.address: list(imap.bodies().values())})
        assert not verdict, verdict
        flags = imap.flags()
        lost = [(uid, keyword) for uid, keyword in shared.flagged if keyword.encode() not in flags[uid]]
        assert not lost, f"flags that were acknowledged: {lost}"
    for guest in shared.grants:
        account = next(account for account in pods.accounts if account.address == guest)
        with Imap(pods.target(0), account) as imap:
            assert not imap.command(f'SELECT "{shared.name}"').ok
            assert not [text for text in imap.ok('LIST "" *').texts(b"LIST") if b"Other Users" in text]


def main() -> int:
    return repeat(run, __doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
