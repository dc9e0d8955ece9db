"""Changing a mailbox by IMAP: APPEND, STORE on all, STORE on one. `python -m benchmarks.append_store`."""

from __future__ import annotations

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
from benchmarks.systems import System

APPENDS = 2000
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
    raw.close()


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
    store(system, options, table)


if __name__ == "__main__":
    main(append_store)
