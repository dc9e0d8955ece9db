"""Log-ins a second, the memory of idle IMAP sessions, and how soon 1,000 of them hear of a delivery.

python -m benchmarks.sessions
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.harness.idlers import delays
from tests.harness.imap import Imap
from tests.harness.target import Account, Target

from benchmarks.common import Cpu, Options, Sample, Table, main
from benchmarks.raw import Wrong, login
from benchmarks.systems import System

LOGINS = 3000
IDLE = 500
THREADS = 8
WATCHERS, DELIVERIES = 1000, 20
PATIENCE = 30.0  # seconds


def log_in(target: Target, account: Account) -> None:
    raw = login(target, account, "", own_buffer=4096)
    raw.timed(b"LOGOUT")
    raw.close()


def logins(system: System, options: Options, table: Table) -> None:
    target = system.target()
    account = target.accounts[-3]
    log_in(target, account)
    count = options.scaled(LOGINS)
    cpu = Cpu(system)
    started = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda _: log_in(target, account), range(count)))
    took = time.perf_counter() - started
    table.add("log-ins of an account that logged in before, per s", system, cpu.sample(count / took, count))


def idle(system: System, options: Options, table: Table) -> None:
    count = max(100, options.scaled(IDLE))
    for service, kind in (("imap", "plain"), ("imaps", "TLS")):
        system.restart()  # else sessions take memory that earlier ones gave back to the process, not to the machine
        target = system.target()
        account = target.accounts[-4]
        Imap(target, account, service=service).close()
        before = system.memory_bytes()
        sessions = []
        for _ in range(count):
            session = Imap(target, account, service=service)
            session.ok("SELECT INBOX")
            session.begin("IDLE")
            if not session.response().text.startswith(b"+"):
                raise Wrong("IDLE was refused")
            sessions.append(session)
        time.sleep(1)
        used = (system.memory_bytes() - before) / 1024 / count
        table.add(f"memory of an idle IMAP session, {kind}, KiB (PSS)", system, Sample(used))
        for session in sessions:
            session.close()


def watchers(system: System, options: Options, table: Table) -> None:
    """From SMTP's 250 until each session of one mailbox that idles has been told; no row where one is not in time.

    Dovecot looks only every 30 s at what it has no inotify instance for (fs.inotify.max_user_instances).
    """
    count, account = options.scaled(WATCHERS), system.target().accounts[-6]
    raw = login(system.target(), account, "")
    [there] = re.findall(rb"MESSAGES (\d+)", raw.timed(b"STATUS INBOX (MESSAGES)")[1])
    raw.close()
    to = [system.target()]
    try:
        found = asyncio.run(
            delays(to, account, sessions=count, deliveries=DELIVERIES, patience=PATIENCE, there=int(there))
        )
    except TimeoutError:
        print(f"{system.name}: not all of {count:,} watchers were told within {PATIENCE:.0f} s", file=sys.stderr)
        return
    for part in (50, 99):
        row = f"delivery → EXISTS at all of {count:,} watchers, p{part} in ms"
        table.add(row, system, Sample(found[len(found) * part // 100] * 1000))


def sessions(system: System, options: Options, table: Table) -> None:
    logins(system, options, table)
    idle(system, options, table)
    watchers(system, options, table)


if __name__ == "__main__":
    main(sessions)
