"""A mailbox of a million messages on SeaweedFS: what opening, reading and changing it costs.

    python -m benchmarks.million [--messages N]

The messages are 300 bytes each and go through the store's real commit path, 500 a commit. Then a fresh pod serves the
account, and every figure is of that pod: seconds at a socket, requests from its own counters, memory as resident size.
The account is cold for each row that says so: the pod was started again.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from tests.fixtures_seaweed import Seaweed
from tests.harness import manifest
from tests.harness.imap import Imap
from tests.harness.server import Mailpod
from tests.harness.target import Account

from mailpod.clock import SystemClock
from mailpod.store import Account as StoredAccount
from mailpod.store import AccountRef, NewMessage, Store, StoreSettings, incarnations
from mailpod.store.opening import open_bucket

SIZE = 300
A_COMMIT = 500
ROUNDS, A_ROUND = 12, 16  # STOREs: a checkpoint is due after 16 commits, and at most every 2 s
MIB = 1024 * 1024


@dataclass
class Figures:
    """By name, in the order in which they were taken; `aims` says what TARGETS.md and the issue ask."""

    rows: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        self.rows[name] = value
        print(f"  {name:72} {value:,.3f}".rstrip("0").rstrip("."), file=sys.stderr, flush=True)


def message(number: int) -> bytes:
    """300 bytes, none like another."""
    head = (
        f"From: Sender {number % 977} <s{number % 977}@elsewhere.test>\r\nTo: alice@example.test\r\n"
        f"Subject: Message {number}\r\nMessage-ID: <{number}@elsewhere.test>\r\n"
        "Date: Mon, 23 Nov 2026 10:00:00 +0000\r\n\r\n"
    ).encode()
    return head + b"x" * (SIZE - len(head) - 2) + b"\r\n"


class Hurry(SystemClock):
    """Nobody else is served meanwhile: what is done in the background need not rest between its steps."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.05))


async def fill(url: str, account: Account, count: int) -> float:
    """Append `count` messages to INBOX; seconds."""
    objects = await open_bucket(url)
    found = await incarnations.latest(objects, account.domain, account.local)
    assert found is not None
    settings = StoreSettings(search_batch=4096)  # whole segments at once, which a pod would join from smaller ones
    store = Store(objects, settings=settings, clock=Hurry(), rng=random.Random(1), pod="filler")
    opened = await store.open(AccountRef(account.domain, account.local, found.id))
    began = time.perf_counter()
    for start in range(0, count, A_COMMIT):
        batch = [NewMessage(message(number)) for number in range(start, min(start + A_COMMIT, count))]
        await opened.append("INBOX", batch)
        if start % (100 * A_COMMIT) == 0:
            print(f"\r  filled {start:,} of {count:,}", end="", file=sys.stderr, flush=True)
    took = time.perf_counter() - began
    print(f"\r  filled {count:,} in {took:.0f} s   ", file=sys.stderr)
    await rest(store, opened)
    opened.release()
    await store.close()
    await objects.close()
    return took


async def rest(store: Store, account: StoredAccount) -> None:
    """Packs and search postings of all of it, as a pod makes them in time: else they were counted with the STOREs."""
    began = time.perf_counter()
    while await store.pack(account):
        await store.checkpoint(account)
    while await store.index(account):
        pass
    await account.store_flags(account.mailbox("INBOX"), [1], "add", ["\\Flagged"])
    await store.checkpoint(account)
    print(f"  packed and indexed in {time.perf_counter() - began:.0f} s more", file=sys.stderr)


class Pod:
    """The one mail pod, and its counters."""

    def __init__(self, server: Mailpod) -> None:
        self.server = server

    def restart(self) -> None:
        if self.server.process is not None:
            self.server.stop()
        self.server.start()

    def resident(self) -> float:
        """MiB."""
        (process,) = self.server.pod_processes()
        return float(psutil.Process(process.pid).memory_info().rss) / MIB

    def counted(self) -> tuple[float, float, float]:
        """Requests of all kinds but the health check's, bytes read, bytes written."""
        _, text = self.server.http(0, "/metrics")
        requests = sum(float(n) for n in re.findall(r"^mailpod_bucket_requests_total\{[^}]*\} (\S+)", text, re.M))
        moved = {"read": 0.0, "write": 0.0}
        for way, count in re.findall(r'^mailpod_bucket_bytes_total\{direction="(\w+)"[^}]*\} (\S+)', text, re.M):
            moved[way] += float(count)
        return requests, moved["read"], moved["write"]


def measure(pod: Pod, account: Account, count: int, figures: Figures) -> None:
    """Every row."""
    target = pod.server.target()
    pod.restart()
    with Imap(target, account) as imap:
        requests, read, _ = pod.counted()
        began = time.perf_counter()
        imap.ok("SELECT Drafts")
        figures.add("SELECT of a small mailbox, the account just logged in to, s", time.perf_counter() - began)
        began = time.perf_counter()
        selected = imap.ok("SELECT INBOX")
        figures.add("SELECT INBOX, account open, s", time.perf_counter() - began)
        assert f"* {count} EXISTS".encode() in [line.text for line in selected.untagged]

    pod.restart()
    with Imap(target) as imap:
        requests, read, _ = pod.counted()
        began = time.perf_counter()
        imap.login(account)
        imap.ok("SELECT INBOX")
        figures.add("cold: LOGIN and SELECT INBOX, s", time.perf_counter() - began)
        after = pod.counted()
        figures.add("cold: LOGIN and SELECT INBOX, requests", after[0] - requests)
        figures.add("cold: LOGIN and SELECT INBOX, MiB read", (after[1] - read) / MIB)
        figures.add("resident memory of the pod then, MiB", pod.resident())
        stores(imap, pod, count, figures)
        sync(imap, pod, count, figures)
        figures.add("resident memory of the pod then, MiB, again", pod.resident())


def stores(imap: Imap, pod: Pod, count: int, figures: Figures) -> None:
    """STORE on one message here and there, paced so that every checkpoint that is due is written.

    Bytes and requests are of commits, checkpoints and pages together.
    """
    chosen = random.Random(7).sample(range(1, count + 1), ROUNDS * A_ROUND)
    requests, _, written = pod.counted()
    took = 0.0
    for start in range(0, len(chosen), A_ROUND):
        began = time.perf_counter()
        for number in chosen[start : start + A_ROUND]:
            imap.ok(f"STORE {number} +FLAGS.SILENT (\\Seen)")
        took += time.perf_counter() - began
        time.sleep(2.5)
    after = pod.counted()
    figures.add("STORE on one message, ms (mean)", 1000 * took / len(chosen))
    figures.add("STORE on one message, bytes written in all", (after[2] - written) / len(chosen))
    figures.add("STORE on one message, requests", (after[0] - requests) / len(chosen))


def sync(imap: Imap, pod: Pod, count: int, figures: Figures) -> None:
    """A first sync: flags of all, then metadata of all, then the bodies of the newest tenth."""
    for name, command, messages in (
        ("FLAGS of all", "UID FETCH 1:* (FLAGS)", count),
        ("ENVELOPE and BODYSTRUCTURE of all", "UID FETCH 1:* (ENVELOPE BODYSTRUCTURE RFC822.SIZE)", count),
        ("bodies of the newest tenth", f"FETCH {count - count // 10 + 1}:* (BODY.PEEK[])", count // 10),
    ):
        requests = pod.counted()[0]
        began = time.perf_counter()
        got = answers(imap, command)
        took = time.perf_counter() - began
        assert got == messages, f"{command}: {got} answers"
        figures.add(f"first sync, {name}, messages a second", messages / took)
        figures.add(f"first sync, {name}, requests for 100 messages", 100 * (pod.counted()[0] - requests) / messages)


def answers(imap: Imap, command: str) -> int:
    """How many FETCH responses a command brings; they are not kept."""
    tag = imap.begin(command)
    got = 0
    while True:
        response = imap.response()
        if response.text.startswith(tag + b" "):
            assert response.text.startswith(tag + b" OK"), response.text
            return got
        got += b" FETCH " in response.text


def run(folder: Path, count: int) -> Figures:
    """All of it, in a folder of its own."""
    figures = Figures()
    seaweed = Seaweed(folder / "seaweed").start()
    (account,) = manifest.accounts(1)
    url = seaweed.url("million")
    os.environ |= seaweed.environment
    server = Mailpod(folder / "mailpod", [account], bucket=url)
    try:
        server.start()  # makes the account
        server.stop()
        took = asyncio.run(fill(url, account, count))
        figures.add("messages", count)
        figures.add("appended a second (500 a commit)", count / took)
        measure(Pod(server), account, count, figures)
    finally:
        server.stop()
        seaweed.stop()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where to work; by default a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for name, value in run(Path(folder), options.messages).rows.items():
            print(f"| {name} | {value:,.3f} |")


if __name__ == "__main__":
    main()
