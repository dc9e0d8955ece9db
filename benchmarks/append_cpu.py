"""CPU of an APPEND: `python -m benchmarks.append_cpu [--bucket memory:] [--profile]`.

The server is a process of its own, over loopback, with a pod's services but without search postings; its CPU is
counted, the kernel's share and that of checkpoints included. A bucket in memory or in /dev/shm waits for no disk, so
that what a message costs can be compared on a machine that is not quiet: the least of the rounds counts.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import cProfile
import multiprocessing
import pstats
import random
import resource
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

import uvloop
from tests.mailpod.imap.dialogue import PASSWORD, user

from benchmarks.mail_mix import mix
from benchmarks.mime import best, plain
from benchmarks.raw import Raw
from mailpod import logs
from mailpod.clock import SystemClock
from mailpod.config import BucketSettings, PodSettings
from mailpod.directory import LATER, DomainEntry, Publisher, new_signing_key, public_key
from mailpod.imap.server import ImapSession
from mailpod.mime.scan import scan
from mailpod.pod import build_services
from mailpod.store.opening import open_bucket
from mailpod.store.settings import StoreSettings

A_COMMAND = 100
ROUNDS = 5
SHORT = 1500  # octets


async def serve(bucket: str, control: Connection, profile: bool) -> None:
    key, clock, rng, loop = new_signing_key(), SystemClock(), random.Random(), asyncio.get_running_loop()
    objects = await open_bucket(bucket)
    domain = DomainEntry(name="example.org", hostname="mx.example.org", max_message_bytes=10**7, reads=LATER)
    users = [user(f"user{number}") for number in range(40)]
    await Publisher(objects, signing_key=key, clock=clock, rng=rng).publish([domain, *users])
    keys = [base64.b64encode(public_key(key)).decode()]
    settings = PodSettings(bucket=BucketSettings(url=bucket), directory_keys=keys, store=StoreSettings(search_due=0))
    services = build_services(settings, objects, clock, rng)
    listener = await loop.create_server(lambda: ImapSession(services), "127.0.0.1", 0)
    control.send(listener.sockets[0].getsockname()[1])
    profiler = cProfile.Profile() if profile else None
    while (asked := await loop.run_in_executor(None, control.recv)) != "stop":
        if profiler is not None:
            (profiler.disable if asked == "end" else profiler.enable)()
        used = resource.getrusage(resource.RUSAGE_SELF)
        control.send((used.ru_utime, used.ru_stime))
    if profiler is not None:
        profiler.create_stats()
        control.send(profiler.stats)  # type: ignore[attr-defined]


def serving(bucket: str, control: Connection, profile: bool) -> None:
    with open("/dev/null", "w") as nowhere:  # noqa: PTH123
        logs.configure(stream=nowhere)
        uvloop.run(serve(bucket, control, profile))


class Pod:
    """The server, and how much it spent."""

    def __init__(self, bucket: str, profile: bool) -> None:
        self.profile = profile
        self.control, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self.process = context.Process(target=serving, args=(bucket, theirs, profile), daemon=True)
        self.process.start()
        self.port: int = self.control.recv()
        self.users = 0

    def login(self) -> Raw:
        """Of a user with an empty mailbox."""
        raw = Raw(self.port)
        raw.line()
        raw.timed(b"LOGIN user%d@example.org %b" % (self.users, PASSWORD.encode()))
        raw.timed(b"SELECT INBOX")
        self.users += 1
        return raw

    def spent(self, at: str) -> tuple[float, float]:
        self.control.send(at)
        user, system = self.control.recv()
        return user, system

    def stop(self, calls: int) -> None:
        self.control.send("stop")
        if self.profile:
            stats = pstats.Stats()
            stats.stats = self.control.recv()  # type: ignore[attr-defined]
            show(stats, calls)
        self.process.join(5)


def show(stats: pstats.Stats, calls: int) -> None:
    rows = sorted(stats.stats.items(), key=lambda row: -row[1][2])  # type: ignore[attr-defined]
    for (file, line, name), (_, count, own, whole, _) in rows[:60]:
        where = f"{file.rpartition('/')[2]}:{line} {name}"
        print(f"{own / calls * 1e6:8.1f} us {whole / calls * 1e6:8.1f} with callees {count / calls:7.2f} calls {where}")


def measure(pod: Pod, name: str, commands: Sequence[bytes], messages: int) -> None:
    times = []
    for _ in range(ROUNDS):
        raw = pod.login()
        before = pod.spent("begin")
        for command in commands:
            raw.timed(command)
        times.append([after - then for then, after in zip(before, pod.spent("end"), strict=True)])
        raw.close()
    user, system = min(times, key=sum)
    each = 1000 / messages
    print(f"{name:28} {(user + system) * each:7.3f} ms CPU a message, the kernel's {system * each:.3f}", flush=True)


def several(messages: Sequence[bytes]) -> list[bytes]:
    literals = [b" {%d+}\r\n%b" % (len(each), each) for each in messages]
    return [b"APPEND INBOX" + b"".join(literals[at : at + A_COMMAND]) for at in range(0, len(literals), A_COMMAND)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bucket", default="memory:")
    parser.add_argument("--messages", type=int, default=500)
    parser.add_argument("--only", default="")
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    small = [plain(4096)] * given.messages
    mixed = list(mix(given.messages))
    works: dict[str, Callable[[], list[bytes]]] = {
        "APPEND, 4 KB": lambda: [b"APPEND INBOX {%d+}\r\n%b" % (len(each), each) for each in small],
        "APPEND, mix": lambda: [b"APPEND INBOX {%d+}\r\n%b" % (len(each), each) for each in mixed],
        "MULTIAPPEND, mix": lambda: several(mixed),
        "MULTIAPPEND, short": lambda: several(list(mix(given.messages, mean=SHORT))),
    }  # fmt: skip
    for name, data in (("4 KB", small[0]), ("mix", mixed[3])):
        print(f"scan, {name}: {best(lambda data=data: scan(data), 200):.3f} ms")
    pod = Pod(given.bucket, given.profile)
    for name, commands in works.items():
        if name.startswith(given.only):
            measure(pod, name, commands(), given.messages)
    pod.stop(given.messages * ROUNDS)


if __name__ == "__main__":
    main()
