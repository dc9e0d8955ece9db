"""What each thing that a user does asks of the bucket: requests and bytes, from a pod's own counters, and a price.

    python -m benchmarks.requests [--idle SECONDS] [--json] [--write docs/costs.md]

One pod on SeaweedFS; no request here has more than one page, part or batch. Checkpoints that an operation brings about
are counted with it, shared out over many. Requests that the pod makes of itself (its look at the bucket, at the queue,
at who is logged in) are measured apart and taken off.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.fixtures_seaweed import Seaweed
from tests.harness import manifest
from tests.harness.imap import Imap
from tests.harness.pop3 import Pop3
from tests.harness.server import Mailpod
from tests.harness.smtp import Smtp
from tests.harness.target import Account

SIZE: Final = 8_000
"""Octets of a message that is delivered."""
MANY: Final = 64
REST: Final = 15.0
"""Seconds: packs and search postings wait for clients to rest, up to ten. They belong to the deliveries."""
IDLE: Final = "an hour of IDLE, each further mailbox"
CROWD: Final = 100
"""Mailboxes of one domain that idle on one pod."""
WRITES: Final = ("create", "put", "upload")
_SAMPLE = re.compile(r'^mailpod_bucket_requests_total\{domain="[^"]*",operation="(\w+)",outcome="(\w+)"\} (\S+)', re.M)
_MOVED = re.compile(r'^mailpod_bucket_bytes_total\{direction="(\w+)"[^}]*\} (\S+)', re.M)


@dataclass
class Count:
    """Requests by operation (a GET that finds nothing is a GET), and bytes."""

    requests: Counter[str] = field(default_factory=Counter)
    read: float = 0.0
    written: float = 0.0

    def __sub__(self, other: Count) -> Count:
        left = Counter({name: count - other.requests[name] for name, count in self.requests.items()})
        return Count(left, self.read - other.read, self.written - other.written)

    def scaled(self, factor: float) -> Count:
        counts = Counter({name: count * factor for name, count in self.requests.items()})  # type: ignore[misc]
        return Count(counts, self.read * factor, self.written * factor)

    @property
    def puts(self) -> float:
        return sum(self.requests[name] for name in WRITES)

    @property
    def lists(self) -> float:
        return self.requests["list"]

    @property
    def gets(self) -> float:
        return sum(self.requests[name] for name in ("get", "get_range", "get_head"))

    @property
    def deletes(self) -> float:
        return self.requests["delete"]


def counted(server: Mailpod) -> Count:
    _, text = server.http(0, "/metrics")
    found = Count()
    for operation, _, number in _SAMPLE.findall(text):
        found.requests[operation] += float(number)  # type: ignore[assignment]
    for direction, number in _MOVED.findall(text):
        if direction == "read":
            found.read += float(number)
        else:
            found.written += float(number)
    return found


class Bench:
    """A server, and what was measured on it."""

    def __init__(self, server: Mailpod, idle: float) -> None:
        self.server = server
        self.idle = idle
        self.background = Count()  # of the pod, a second
        self.rows: dict[str, Count] = {}

    def measure(self, name: str, times: int, do: Callable[[], None], *, quiet: float = 3.0) -> None:
        """`do` does the thing `times` times; what is due afterwards is waited for, as it belongs to it."""
        before, began = counted(self.server), time.perf_counter()
        do()
        self._settle(quiet)
        took = time.perf_counter() - began
        whole = counted(self.server) - before - self.background.scaled(took)
        self.rows[name] = whole.scaled(1 / times)
        print(f"  {name}", file=sys.stderr, flush=True)

    def _settle(self, quiet: float = 3.0) -> None:
        """Until nothing has been written for a while: a checkpoint is due every two seconds at most."""
        last = counted(self.server).puts
        since = time.perf_counter()
        while time.perf_counter() - since < quiet:
            time.sleep(0.5)
            now = counted(self.server).puts
            if now != last:
                last, since = now, time.perf_counter()

    def run(self) -> None:
        alice, bob, carol = self.server.accounts[:3]
        target = self.server.target()
        before, began = counted(self.server), time.perf_counter()
        time.sleep(self.idle)
        self.background = (counted(self.server) - before).scaled(1 / (time.perf_counter() - began))
        everybody = [alice.address, bob.address, carol.address]
        self.measure("deliver, 8 kB, to one", MANY, lambda: self._deliver(alice.address), quiet=REST)
        self.measure("deliver, 8 kB, to three", MANY, lambda: self._deliver(*everybody), quiet=REST)
        self._restart()
        self.measure("log in, account cold", 1, lambda: Imap(target, alice).command("LOGOUT") and None)
        self.measure(
            "log in, account warm", 8, lambda: [Imap(target, alice).command("LOGOUT") for _ in range(8)] and None
        )
        imap = Imap(target, alice)
        self._pack(imap)
        self.measure("SELECT", 16, lambda: [imap.ok("SELECT INBOX") for _ in range(16)] and None)
        self.measure("first sync: 128 envelopes", 1, lambda: imap.ok("FETCH 1:128 (UID FLAGS ENVELOPE)") and None)
        self.measure("fetch one message", 16, lambda: self._fetch(imap, range(1, 17)))
        self.measure("fetch it again", 16, lambda: self._fetch(imap, range(1, 17)))
        self.measure("STORE on one message", MANY, lambda: self._store(imap))
        self.measure("MOVE one message", 16, lambda: [imap.ok("MOVE 1 Archive") for _ in range(16)] and None)
        self.measure("EXPUNGE one message", 16, lambda: self._expunge(imap))
        self.measure("APPEND one message, 8 kB", 16, lambda: self._append(imap))
        self.measure("NOOP", 16, lambda: [imap.ok("NOOP") for _ in range(16)] and None)
        imap.command("LOGOUT")
        self.measure("POP3 visit, nothing new", 8, lambda: self._visit(bob))
        self._idle(carol, alice, bob)
        self._crowd(self.server.accounts[3:])
        self.rows["an hour of a pod, nobody logged in"] = self.background.scaled(3600)

    def _idle(self, first: Account, *more: Account) -> None:
        """The first mailbox of a domain on a pod also pays for the domain's own entry; a further one does not."""
        watching = [self._watch(first)]
        one = self._hour()
        watching += [self._watch(account) for account in more]
        each = (self._hour() - one).scaled(1 / len(more))
        self.rows["an hour of IDLE, the first of a domain"] = one
        self.rows[IDLE] = each
        for imap in watching:
            imap.close()

    def _crowd(self, accounts: Sequence[Account]) -> None:
        """Where many of a domain are logged in, one listing tells which of their entries changed."""
        watching = [self._watch(account) for account in accounts]
        self.rows[f"an hour of IDLE, each of {len(accounts)} mailboxes"] = self._hour().scaled(1 / len(accounts))
        for imap in watching:
            imap.close()

    def _watch(self, account: Account) -> Imap:
        imap = Imap(self.server.target(), account)
        imap.ok("SELECT INBOX")
        imap.begin("IDLE")
        return imap

    def _hour(self) -> Count:
        self._settle()
        before, began = counted(self.server), time.perf_counter()
        time.sleep(self.idle)
        took = time.perf_counter() - began
        return (counted(self.server) - before - self.background.scaled(took)).scaled(3600 / took)

    def _restart(self) -> None:
        self.server.stop()
        self.server.start()

    def _deliver(self, *recipients: str) -> None:
        with Smtp(self.server.target()) as smtp:
            for number in range(MANY):
                text = f"From: a@elsewhere.test\r\nSubject: Number {number}\r\n\r\n".encode()
                message = text + b"x" * 76 + b"\r\n" + (b"y" * 76 + b"\r\n") * ((SIZE - len(text)) // 78 - 1)
                assert smtp.deliver("a@elsewhere.test", list(recipients), message).code == 250

    def _pack(self, imap: Imap) -> None:
        """Let a pack be made, which is due with some more commits: no row is to have it."""
        imap.ok("SELECT INBOX")
        for number in range(1, 33):
            imap.ok(f"STORE {number} +FLAGS.SILENT ($Packed)")
        self._settle(REST)

    def _fetch(self, imap: Imap, numbers: range) -> None:
        for number in numbers:
            imap.ok(f"FETCH {number} BODY.PEEK[]")

    def _store(self, imap: Imap) -> None:
        for number in range(1, MANY + 1):
            imap.ok(f"STORE {number} +FLAGS.SILENT (\\Seen)")

    def _expunge(self, imap: Imap) -> None:
        for _ in range(16):
            imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
            imap.ok("EXPUNGE")

    def _append(self, imap: Imap) -> None:
        for number in range(16):
            assert imap.append("Sent", f"Subject: sent {number}\r\n\r\n".encode() + b"x" * SIZE + b"\r\n").ok

    def _visit(self, account: Account) -> None:
        for _ in range(8):
            with Pop3(self.server.target(), account) as pop3:
                pop3.ok("STAT")
                pop3.multi("UIDL")
                pop3.ok("QUIT")


# -- the price


@dataclass(frozen=True)
class Prices:
    """S3 Standard in us-east-1, as published in 2025, in US dollars: an assumption, to be put in place of one's own."""

    put: float = 0.005 / 1000  # PUT, COPY, POST, LIST
    get: float = 0.0004 / 1000  # GET and all others; DELETE is free
    stored: float = 0.023  # a GB and month


@dataclass(frozen=True)
class Profile:
    """What one mailbox does in a day. `idle` in hours of all its clients together; `stored` in GB."""

    name: str
    received: int
    sent: int
    read: int
    flagged: int
    removed: int
    logins: int
    syncs: int
    idle: float
    stored: float


PROFILES: Final = (
    Profile("light: a phone now and then", 5, 1, 5, 5, 3, 4, 8, 1, 0.2),
    Profile("office: a laptop and a phone", 40, 10, 60, 50, 25, 12, 60, 18, 3),
    Profile("heavy: three clients all day", 200, 40, 300, 250, 150, 40, 300, 60, 20),
)


def month(profile: Profile, rows: dict[str, Count], prices: Prices) -> tuple[Count, float, float]:
    """Requests of 30 days, their price, and that of what is stored."""
    day = [
        (profile.received, "deliver, 8 kB, to one"), (profile.sent, "APPEND one message, 8 kB"),
        (profile.read, "fetch one message"), (profile.flagged, "STORE on one message"),
        (profile.removed, "MOVE one message"), (profile.logins, "log in, account cold"), (profile.syncs, "SELECT"),
        (profile.idle, IDLE),
    ]  # fmt: skip
    total = Count()
    for times, name in day:
        part = rows[name].scaled(times * 30)
        total = Count(total.requests + part.requests, total.read + part.read, total.written + part.written)
    requests = (total.puts + total.lists) * prices.put + total.gets * prices.get
    return total, requests, profile.stored * prices.stored


def table(rows: dict[str, Count]) -> str:
    out = [
        "| operation | PUT | LIST | GET | DELETE | bytes written | bytes read |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, row in rows.items():
        counts = " | ".join(f"{max(count, 0):.2f}" for count in (row.puts, row.lists, row.gets, row.deletes))
        out.append(f"| {name} | {counts} | {max(row.written, 0):,.0f} | {max(row.read, 0):,.0f} |")
    return "\n".join(out)


def price_table(rows: dict[str, Count]) -> str:
    out = [
        "| a mailbox and month | PUT and LIST | GET | requests | storage | in all |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for profile in PROFILES:
        total, requests, stored = month(profile, rows, Prices())
        counts = f"{total.puts + total.lists:,.0f} | {total.gets:,.0f}"
        out.append(f"| {profile.name} | {counts} | ${requests:.4f} | ${stored:.4f} | ${requests + stored:.3f} |")
    return "\n".join(out)


def written(text: str, made: str) -> str:
    """The page with this table in place of the one that has the same first line."""
    lines, head = text.splitlines(), made.splitlines()[0]
    start = end = lines.index(head)
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    return "\n".join([*lines[:start], made, *lines[end:]]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds that idling is watched for (three times)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", type=Path, help="a page whose two tables are to be these, docs/costs.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mailpod-requests-") as folder:
        seaweed = Seaweed(Path(folder) / "seaweed").start()
        os.environ |= seaweed.environment
        server = Mailpod(Path(folder) / "mailpod", manifest.accounts(3 + CROWD), bucket=seaweed.url("costs"))
        try:
            bench = Bench(server.start(), options.idle)
            bench.run()
        finally:
            server.stop()
            seaweed.stop()
    if options.json:
        rows = {name: {**row.requests, "read": row.read, "written": row.written} for name, row in bench.rows.items()}
        print(json.dumps(rows, indent=1))
    else:
        print(table(bench.rows), "\n\n", price_table(bench.rows), sep="")
    if options.write is not None:
        for made in (table(bench.rows), price_table(bench.rows)):
            options.write.write_text(written(options.write.read_text(), made))


if __name__ == "__main__":
    main()
