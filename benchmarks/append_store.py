"""Changing a mailbox by IMAP: APPEND, MULTIAPPEND, STORE on all, STORE on one. `python -m benchmarks.append_store`."""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.common import Cpu, Options, Sample, Table, main
from benchmarks.fetch import Filled, responses
from benchmarks.mail_mix import mix
from benchmarks.raw import Wrong, login
from benchmarks.systems import OnSeaweedFS, System
from mailpod.store.opening import open_bucket

APPENDS = 2000
A_COMMAND = 100
STORES = 500


def append(system: System, options: Options, table: Table) -> None:
    """The mix into one mailbox over one connection, each after the answer to the one before."""
    messages = list(mix(options.scaled(APPENDS), seed=random.randrange(10**9)))
    raw = login(system.target(), system.target().accounts[-2])
    cpu = Cpu(system)
    started = time.perf_counter()
    for message in messages:
        raw.timed(b"APPEND INBOX {%d+}\r\n%s" % (len(message), message))
    took = time.perf_counter() - started
    table.add("APPEND, messages per s", system, cpu.sample(len(messages) / took, len(messages)))
    raw.close()


def multiappend(system: System, options: Options, table: Table) -> None:
    """The mix, A_COMMAND messages a command (RFC 3502)."""
    messages = list(mix(options.scaled(APPENDS), seed=random.randrange(10**9)))
    literals = [b" {%d+}\r\n%s" % (len(message), message) for message in messages]
    raw = login(system.target(), system.target().accounts[-5])
    cpu = Cpu(system)
    started = time.perf_counter()
    for start in range(0, len(literals), A_COMMAND):
        raw.timed(b"APPEND INBOX" + b"".join(literals[start : start + A_COMMAND]))
    took = time.perf_counter() - started
    table.add("MULTIAPPEND, messages per s", system, cpu.sample(len(messages) / took, len(messages)))
    raw.close()


def store(system: System, options: Options, table: Table) -> None:
    filled = Filled.of(system, options.scaled(10_000))
    raw = login(system.target(), filled.account)
    times = []
    for sign in (b"+", b"-") * 3:
        times.append(raw.timed(b"STORE 1:%d %sFLAGS.SILENT (\\Flagged)" % (filled.count, sign))[0])
        flags = responses(raw.timed(b"FETCH 1:* (FLAGS)")[1])
        if sum(b"\\Flagged" in text for text, _ in flags) != (filled.count if sign == b"+" else 0):
            raise Wrong("STORE on all did not change all")
    row = f"STORE on all {filled.count:,}, messages per s"
    table.add(row, system, Sample(filled.count / statistics.median(times)))
    chosen = random.Random(1).sample(range(1, filled.count + 1), STORES)  # each changes: a STORE of nothing new is free
    cpu = Cpu(system)
    times = [raw.timed(b"STORE %d +FLAGS.SILENT (\\Answered)" % number)[0] for number in chosen]
    table.add("STORE on one, p50 in ms", system, cpu.sample(statistics.median(times) * 1000, STORES))
    raw.timed(b"STORE 1:* -FLAGS.SILENT (\\Answered)")
    table.add("one fsynced new file, p50 in ms (the floor)", system, Sample(bare_file()))
    if isinstance(system, OnSeaweedFS) and system.weed is not None:
        os.environ.update(system.weed.environment)
        table.add(
            "one bare PUT, p50 in ms (the floor)", system, Sample(asyncio.run(bare_put(system.weed.url("floor"))))
        )
    raw.close()


async def bare_put(url: str, count: int = 200) -> float:
    """What a small new object takes here and now, in ms."""
    objects, times = await open_bucket(url), []
    for number in range(count):
        started = time.perf_counter()
        await objects.create(f"floor/{time.time_ns()}-{number}", [b"x" * 300])
        times.append(time.perf_counter() - started)
    await objects.close()
    return statistics.median(times) * 1000


def bare_file(count: int = 200) -> float:
    """What one new file with its fsync takes here and now, in ms."""
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            started = time.perf_counter()
            descriptor = os.open(Path(folder) / str(number), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            os.write(descriptor, b"x" * 300)
            os.fsync(descriptor)
            os.close(descriptor)
            times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def append_store(system: System, options: Options, table: Table) -> None:
    append(system, options, table)
    multiappend(system, options, table)
    store(system, options, table)


if __name__ == "__main__":
    main(append_store)
