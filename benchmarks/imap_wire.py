"""What IMAP's answers cost without sockets: `.venv/bin/python -m benchmarks.imap_wire [--folder] [--profile NAME]`.

Handlers and store as in a pod, over a bucket in memory or a folder, 10,000 messages of the mix in pages of 500; `first`
is of a store that was just opened: nothing is in its memory. The client takes all and does nothing. Time is the
process's CPU time, the best of some rounds, so that other work on the machine disturbs little. What counts is the
ratios of one run.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import pstats
import random
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from benchmarks.mail_mix import mix
from mailpod.clock import SystemClock
from mailpod.config import ImapSettings
from mailpod.imap.commands import COMMANDS
from mailpod.imap.enabled import Enabled
from mailpod.imap.lexer import Frame
from mailpod.imap.parser import parse
from mailpod.imap.progress import Progress
from mailpod.imap.view import View
from mailpod.net.budget import Budget
from mailpod.store import Account, AccountRef, NewMessage, Store, new_account
from mailpod.store.folder import FolderObjects
from mailpod.store.memory import MemoryObjects
from mailpod.store.objects import ObjectStore

MESSAGES = 10_000
ROUNDS = 5
RUNS = {
    "FLAGS": ("FETCH 1:* (FLAGS)", 4_000_000),
    "UID FLAGS": ("UID FETCH 1:* (FLAGS)", 4_000_000),
    "UID FLAGS SIZE": ("UID FETCH 1:* (FLAGS RFC822.SIZE)", None),
    "FAST": ("FETCH 1:* FAST", None),
    "ENVELOPE BODYSTRUCTURE": ("FETCH 1:* (ENVELOPE BODYSTRUCTURE)", 600_000),
    "four header fields": ("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE)])", 800_000),
    "with an uncached one": ("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT X-NONE)])", None),
    "whole messages": ("FETCH 1:* (BODY.PEEK[])", 100_000),
    "STORE on all": ("STORE 1:* +FLAGS.SILENT (\\Seen)", 3_000_000),
    "STORE, with answers": ("STORE 1:* +FLAGS (\\Seen)", None),
    "SEARCH UNSEEN": ("SEARCH UNSEEN", 10_000_000),
    "SEARCH FROM": ("SEARCH FROM sender7@", 1_000_000),
    "SEARCH SUBJECT": ("SEARCH SUBJECT nothing-like-it", None),
    "SEARCH SENTSINCE": ("SEARCH SENTSINCE 1-Jan-2020", None),
    "SEARCH BODY": ("SEARCH BODY nothing-like-it", None),
    "SORT DATE": ("SORT (DATE) UTF-8 ALL", 1_000_000),
    "SORT SUBJECT": ("SORT (SUBJECT) UTF-8 ALL", 1_000_000),
    "SORT FROM": ("SORT (FROM) UTF-8 ALL", 1_000_000),
    "THREAD REFERENCES": ("THREAD REFERENCES UTF-8 ALL", 500_000),
    "THREAD ORDEREDSUBJECT": ("THREAD ORDEREDSUBJECT UTF-8 ALL", 500_000),
}


class Sink:
    """A session whose client reads everything at once."""

    def __init__(self, account: Account, read_only: bool) -> None:
        self.account = account
        self.enabled = Enabled()
        self.view = View(account, account.mailbox("INBOX"), read_only, self.enabled)
        self.identity = SimpleNamespace(entry=SimpleNamespace(quota_bytes=None, quota_messages=None))
        settings = SimpleNamespace(imap=ImapSettings())
        self.services = SimpleNamespace(budget=Budget(512 << 20), clock=SystemClock(), settings=settings)
        self.tag = b"a"
        self.progress = Progress(self.tag, self.services.clock.elapsed(), every=60)
        self.octets = 0

    def send(self, data: Any) -> None:
        pieces: Sequence[bytes] = [data] if isinstance(data, bytes) else data
        self.octets += sum(map(len, pieces))

    async def drained(self) -> None: ...

    async def say(self, line: str) -> None:
        command = parse(Frame([f"a {line}".encode()], []))
        rule = COMMANDS[command.name]
        await rule.run(self, command.args)
        self.send(self.view.poll(rule.expunge))


async def fill(objects: ObjectStore) -> AccountRef:
    store = Store(objects, clock=SystemClock(), rng=random.Random())
    account = await store.open(await new_account(objects, "example.org", "ann"))
    messages = [NewMessage(data) for data in mix(MESSAGES)]
    for start in range(0, MESSAGES, 100):
        await account.append("INBOX", messages[start : start + 100])
    account.release()
    await store.close()
    return account.ref


@asynccontextmanager
async def opened(objects: ObjectStore, ref: AccountRef) -> AsyncIterator[Account]:
    """With nothing in memory."""
    store = Store(objects, clock=SystemClock(), rng=random.Random())
    account = await store.open(ref)
    yield account
    account.release()
    await store.close()


async def measure(name: str, objects: ObjectStore, ref: AccountRef, profile: cProfile.Profile | None) -> None:
    """In each round once first, and once again."""
    line, aim = RUNS[name]
    first = best = float("inf")
    octets = 0
    for _ in range(ROUNDS):
        async with opened(objects, ref) as account:
            first = min(first, (await timed(line, account, profile))[0])
            spent, octets = await timed(line, account, profile)
            best = min(best, spent)
    aimed = f"{aim:>12,}" if aim else f"{'-':>12}"
    rates = f"{first * 1000:9.1f} {best * 1000:9.1f} {MESSAGES / first:14,.0f} {MESSAGES / best:14,.0f}"
    print(f"{name:>24} {rates} {aimed} {octets / best / 1e6:9.0f}")


async def timed(line: str, account: Account, profile: cProfile.Profile | None) -> tuple[float, int]:
    """Seconds of CPU, and octets of the answer."""
    if line.startswith("STORE"):
        await account.store_flags(account.mailbox("INBOX"), account.mailbox("INBOX").uids[:], "set", [])
    sink = Sink(account, read_only=not line.startswith("STORE"))
    sink.view.owed()
    gc.collect()
    if profile:
        profile.enable()
    started = time.process_time()
    await sink.say(line)
    spent = time.process_time() - started
    if profile:
        profile.disable()
    return spent, sink.octets


async def watchers(account: Account, count: int) -> None:
    """One delivery told to `count` sessions of the mailbox."""
    views = [View(account, account.mailbox("INBOX"), read_only=False) for _ in range(count)]
    spent = []
    for _ in range(ROUNDS):
        await account.append("INBOX", [NewMessage(b"Subject: new\r\n\r\n")])
        started = time.perf_counter()
        told = [view.poll(allow_expunge=True) for view in views]
        spent.append(time.perf_counter() - started)
        if not all(told):
            raise SystemExit("a session was not told")
    print(f"{count} sessions told of one delivery: {min(spent) * 1000:.2f} ms")


async def run(options: argparse.Namespace, objects: ObjectStore) -> None:
    ref = await fill(objects)
    heads = ("first, ms", "again, ms", "first, msg/s", "again, msg/s", "aim", "MB/s")
    print(f"{'':>24} {heads[0]:>9} {heads[1]:>9} {heads[2]:>14} {heads[3]:>14} {heads[4]:>12} {heads[5]:>9}")
    profile = cProfile.Profile() if options.profile else None
    for name in [options.profile] if options.profile else RUNS:
        await measure(name, objects, ref, profile)
    if profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(18)
    else:
        async with opened(objects, ref) as account:
            await watchers(account, 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", action="store_true", help="over a folder, not memory")
    parser.add_argument("--profile", choices=RUNS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mailpod-bench-") as folder:
        asyncio.run(run(options, FolderObjects(folder) if options.folder else MemoryObjects()))


if __name__ == "__main__":
    main()
