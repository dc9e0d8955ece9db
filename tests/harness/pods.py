"""Bare pods over one folder: `mailpod serve` with settings of the test's own, where local mode has none for it."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from tests.harness import processes
from tests.harness.ports import free_port
from tests.harness.target import Account, Target

from mailpod.clock import SystemClock
from mailpod.directory import DomainEntry, Entry, MailboxEntry, Publisher, open_bucket
from mailpod.store.entries import public_key

_SIGNING_KEY = b"k" * 32


class Pods:
    """`count` pods that serve the accounts' domains; `settings` are PodSettings' fields. `bucket` is a URL whose
    credentials are in the environment, by default a folder; `reads` is what the domains say that all pods read."""

    def __init__(
        self,
        home: Path,
        accounts: Sequence[Account],
        hostname: str,
        count: int = 1,
        *,
        bucket: str = "",
        reads: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        self.home, self.accounts, self.hostname, self.settings = home, list(accounts), hostname, settings
        self.bucket, self._reads = bucket or str(home / "bucket"), tuple(reads)
        self.ports = [{name: free_port() for name in ("smtp", "submission", "imap", "http")} for _ in range(count)]
        self._running: list[subprocess.Popen[bytes] | None] = [None] * count
        (home if bucket else home / "bucket").mkdir(parents=True, exist_ok=True)
        asyncio.run(self._publish())

    def target(self, pod: int = 0) -> Target:
        return Target("127.0.0.1", self.hostname, self.ports[pod], accounts=self.accounts)

    def start(self, pod: int) -> None:
        """And wait until it answers, at the port that it listens on last."""
        config = self.home / f"pod-{pod}.json"
        config.write_text(json.dumps(self._config(pod)))
        with (self.home / f"pod-{pod}.log").open("ab") as log:
            command = [str(Path(sys.executable).parent / "mailpod"), "serve", "--config", str(config)]
            started = self._running[pod] = subprocess.Popen(command, stderr=log, start_new_session=True)
        processes.wait_until(lambda: answers(self.ports[pod]["imap"]), 60, f"pod {pod} listens")
        assert started.poll() is None, f"pod {pod} ended, see {log.name}"

    def kill(self, pod: int) -> None:
        """kill -9."""
        process = self._running[pod]
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)

    def freeze(self, pod: int) -> None:
        """SIGSTOP, until `thaw`."""
        self._signal(pod, signal.SIGSTOP)

    def thaw(self, pod: int) -> None:
        self._signal(pod, signal.SIGCONT)

    def _signal(self, pod: int, number: int) -> None:
        process = self._running[pod]
        assert process is not None
        os.kill(process.pid, number)

    def end(self, pod: int) -> None:
        """SIGTERM, and wait until it is gone."""
        process = self._running[pod]
        assert process is not None
        processes.end(process)

    def cpu_seconds(self) -> float:
        return sum(processes.cpu_seconds(process.pid) for process in self._running if process)

    def stop(self) -> None:
        for process in filter(None, self._running):
            processes.end(process)

    def __enter__(self) -> Pods:
        try:
            for pod in range(len(self._running)):
                self.start(pod)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _config(self, pod: int) -> dict[str, Any]:
        ports = self.ports[pod]
        listeners = [
            {"protocol": "smtp", "role": "mx", "port": ports["smtp"]},
            {"protocol": "smtp", "role": "submission", "port": ports["submission"]},
            {"protocol": "imap", "port": ports["imap"]},
            {"protocol": "http", "port": ports["http"], "tls": "none"},
        ]
        return {
            "name": f"pod-{pod}",
            "hostname": self.hostname,
            "bucket": {"url": self.bucket},
            "listeners": [listener | {"host": "127.0.0.1"} for listener in listeners],
            "directory_keys": [base64.b64encode(public_key(_SIGNING_KEY)).decode()],
            **self.settings,
        }

    async def _publish(self) -> None:
        hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        objects = await open_bucket(self.bucket)
        domains = {account.domain for account in self.accounts}
        entries: list[Entry] = [
            DomainEntry(name=name, hostname=self.hostname, max_message_bytes=1 << 26, reads=self._reads)
            for name in sorted(domains)
        ]
        entries += [
            MailboxEntry(
                address=account.address,
                domain=account.domain,
                local=account.local,
                verifiers=(hasher.hash(account.password),),
            )
            for account in self.accounts
        ]
        publisher = Publisher(objects, signing_key=_SIGNING_KEY, clock=SystemClock(), rng=random.SystemRandom())
        await publisher.publish(entries)
        await objects.close()


def answers(port: int) -> bool:
    import socket

    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            return bool(connection.recv(1))
    except OSError:
        return False
