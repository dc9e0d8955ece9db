"""Mail that leaves: submitted, queued durably and handed to smtp-sink, messages a second until the last one is there.

`python -m benchmarks.outbound [--messages N] [--runs N]`, beside Postfix in the same run. Both fsync what they queue,
reach the sink without the DNS, and use at most 20 connections to it. CPU is the servers' alone.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.harness import processes
from tests.harness.need import find
from tests.harness.pods import Pods, answers
from tests.harness.ports import free_port
from tests.harness.postfix_master import master_cf
from tests.harness.target import Account

from benchmarks.common import Options, Sample, Table
from benchmarks.peers import services
from benchmarks.systems import OnFolder, Peer, System

USER = Account("bench@home.test", "open sesame")
CONNECTIONS = 20
SIZE = 4096


@dataclass(frozen=True)
class Result:
    rate: float
    cpu: float  # ms a message


class Sink:
    """smtp-sink that counts."""

    def __init__(self, home: Path) -> None:
        self.port, self.log = free_port(), home / "sink.out"
        with self.log.open("wb") as out:
            command = ["smtp-sink", "-u", "nobody", "-c", f"127.0.0.1:{self.port}", "500"]
            self.process = subprocess.Popen(command, stdout=out, start_new_session=True)
        processes.wait_until(lambda: answers(self.port), 10, "smtp-sink listens")

    def count(self) -> int:
        with self.log.open("rb") as out:
            out.seek(max(0, self.log.stat().st_size - 60))
            last = out.read().rpartition(b"mesg=")[2][:6].strip()
        return int(last) if last.isdigit() else 0


async def submit(port: int, messages: int, *, login: bool) -> None:
    """Over CONNECTIONS connections, each its share."""
    head = f"From: {USER.address}\r\nTo: b@far.test\r\nSubject: bench\r\nDate: Thu, 26 Nov 2026 12:00:00 +0000\r\n"
    text = (head + "Message-ID: <bench@home.test>\r\n\r\n").encode()
    text += b"x" * 70 + b"\r\n"
    text += (b"y" * 76 + b"\r\n") * ((SIZE - len(text)) // 78)
    envelope = f"MAIL FROM:<{USER.address}>\r\nRCPT TO:<b@far.test>\r\nDATA\r\n".encode()

    async def connection(share: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readline()
        writer.write(b"EHLO client.test\r\n")
        while not (await reader.readline()).startswith(b"250 "):
            pass
        if login:
            secret = base64.b64encode(f"\0{USER.address}\0{USER.password}".encode())
            writer.write(b"AUTH PLAIN " + secret + b"\r\n")
            assert (await reader.readline()).startswith(b"235")
        for _ in range(share):
            writer.write(envelope)
            for wanted in (b"250", b"250", b"354"):
                line = await reader.readline()
                assert line.startswith(wanted), line
            writer.write(text + b".\r\n")
            line = await reader.readline()
            assert line.startswith(b"250"), line
        writer.close()

    await asyncio.gather(*(connection(messages // CONNECTIONS) for _ in range(CONNECTIONS)))


def measure(messages: int, sink: Sink, port: int, cpu: Callable[[], float], *, login: bool) -> Result:
    before, used = sink.count(), cpu()
    started = time.perf_counter()
    asyncio.run(submit(port, messages, login=login))
    processes.wait_until(lambda: sink.count() - before >= messages, 120, "all are at the sink", 0.01)
    took = time.perf_counter() - started
    assert sink.count() - before == messages, f"{sink.count() - before} of {messages} arrived"
    return Result(messages / took, (cpu() - used) / messages * 1000)


@contextlib.contextmanager
def mailpod(home: Path, sink: Sink) -> Iterator[tuple[int, Callable[[], float]]]:
    smarthost = {"host": "127.0.0.1", "port": sink.port, "tls": "none"}
    settings = {"outbound": {"smarthost": smarthost}, "smtp": {"max_recipients_per_hour": 1 << 30}}
    with Pods(home, [USER], "mail.home.test", 1, log_level="warning", **settings) as pods:
        yield pods.ports[0]["submission"], pods.cpu_seconds


@contextlib.contextmanager
def postfix(home: Path, sink: Sink) -> Iterator[tuple[int, Callable[[], float]]]:
    ports = {name: free_port() for name in ("smtp", "submission", "submissions")}
    for folder in ("postfix", "queue", "postfix-data"):
        (home / folder).mkdir(parents=True)
    home.chmod(0o755)
    shutil.chown(home / "postfix-data", "postfix")
    lines = {
        "compatibility_level": "3.6", "queue_directory": home / "queue", "data_directory": home / "postfix-data",
        "command_directory": "/usr/sbin", "daemon_directory": "/usr/lib/postfix/sbin", "mail_owner": "postfix",
        "setgid_group": "postdrop", "maillog_file": home / "mail.log", "maillog_file_prefixes": home,
        "myhostname": "mail.home.test", "mydestination": "", "mynetworks": "127.0.0.1/32", "alias_maps": "",
        "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4", "relayhost": f"[127.0.0.1]:{sink.port}",
        "smtpd_client_connection_count_limit": 0, "smtp_tls_security_level": "none",
    }  # fmt: skip
    (home / "postfix" / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in lines.items()))
    (home / "postfix" / "master.cf").write_text(master_cf(*services(ports)))
    process = subprocess.Popen(
        [find("postfix") or "postfix", "-c", str(home / "postfix"), "start-fg"], start_new_session=True
    )
    try:
        processes.wait_until(lambda: answers(ports["smtp"]), 20, "Postfix listens")
        yield ports["smtp"], lambda: processes.cpu_seconds(process.pid)
    finally:
        processes.end(process)


def outbound(system: System, options: Options, table: Table) -> None:
    """As a row of the report, each with servers of its own."""
    kinds = {OnFolder.name: mailpod, Peer.name_of("maildir"): postfix}
    if system.name not in kinds:
        return
    count = options.scaled(4000) // CONNECTIONS * CONNECTIONS
    with tempfile.TemporaryDirectory(prefix="mailpod-outbound-") as folder, contextlib.ExitStack() as stack:
        home = Path(folder)
        home.chmod(0o755)
        sink = Sink(home)
        stack.callback(processes.end, sink.process)
        port, cpu = stack.enter_context(kinds[system.name](home / "server", sink))
        found = measure(count, sink, port, cpu, login=system.name == OnFolder.name)
    table.add("outbound to smtp-sink, messages per s", system, Sample(found.rate, found.cpu))


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.outbound")
    parser.add_argument("--messages", type=int, default=4000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[Result]] = {"Mailpod": [], "Postfix": []}
    with tempfile.TemporaryDirectory(prefix="mailpod-outbound-") as folder, contextlib.ExitStack() as stack:
        home = Path(folder)
        home.chmod(0o755)
        sink = Sink(home)
        stack.callback(processes.end, sink.process)
        ours, theirs = stack.enter_context(mailpod(home / "m", sink)), stack.enter_context(postfix(home / "p", sink))
        for _ in range(options.runs):
            for name, (port, cpu) in (("Mailpod", ours), ("Postfix", theirs)):
                result = measure(options.messages, sink, port, cpu, login=name == "Mailpod")
                print(f"  {name}: {result.rate:.0f}/s, {result.cpu:.2f} ms CPU", file=sys.stderr)
                found[name].append(result)
    print(
        f"{options.messages} messages of {SIZE} octets, {CONNECTIONS} submitting connections, medians of {options.runs}"
    )
    for name, results in found.items():
        rate, cpu_ms = (statistics.median(getattr(one, part) for one in results) for part in ("rate", "cpu"))
        print(f"{name:8} {rate:8.0f} messages/s  {cpu_ms:6.2f} ms of server CPU a message")


if __name__ == "__main__":
    main()
