"""A whole local Mailpod for the tests: `mail-operator local` on free ports, in a folder of its own.

Everything that it starts ends with `stop`; its log is kept in the folder and shown when a test fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from tests.harness import manifest, processes
from tests.harness.ports import HTTP, free_offset
from tests.harness.target import STANDARD, Account, Target

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 60.0


class Mailpod:
    """One local Mailpod. `start` may follow `stop`: the data stays, and so do the ports."""

    def __init__(
        self,
        home: Path,
        accounts: Sequence[Account],
        *,
        pods: int = 1,
        bucket: str | None = None,
        hints: bool = True,
        environment: dict[str, str] | None = None,
        host: str = "127.0.0.1",
        offset: int | None = None,
        hostname: str = manifest.HOSTNAME,
        options: Sequence[str] = (),
        **domain_spec: object,
    ) -> None:
        self.home = home
        self.home.mkdir(parents=True, exist_ok=True)
        self.accounts = list(accounts)
        self.pods = pods
        self.bucket = bucket
        self.hints = hints
        self.environment = environment or {}
        self.host, self.hostname, self.options = host, hostname, list(options)
        self.domain_spec = domain_spec
        self.data = home / "data"
        self.manifest = home / "mail.yaml"
        self.log = home / "mailpod.log"
        self.offset = free_offset(pods) if offset is None else offset
        self.process: subprocess.Popen[bytes] | None = None
        self.write_manifest()

    # -- what it serves

    def write_manifest(self) -> None:
        manifest.write(self.manifest, self.accounts, hostname=self.hostname, **self.domain_spec)

    def target(self, offset: int | None = None) -> Target:
        """Where it listens; with an offset, where one pod's own set of ports is."""
        base = self.offset if offset is None else offset
        return Target(
            host=self.host,
            hostname=self.hostname,
            ports={name: base + port for name, port in STANDARD.items()},
            ca=self.data / ".local" / "tls.crt",
            http=HTTP + self.offset,
            accounts=self.accounts,
        )

    def pod_target(self, pod: int) -> Target:
        """One pod's own ports, as its configuration file names them."""
        config = json.loads((self.data / ".local" / f"pod-{pod}.json").read_text())
        return own_ports(config, self.target())

    # -- its life

    def command(self) -> list[str]:
        program = Path(sys.executable).parent / "mail-operator"
        options = ["--host", self.host, "--data", str(self.data), "--port-offset", str(self.offset)]
        options += ["--pods", str(self.pods), *self.options]
        if not self.hints:
            options.append("--no-hints")
        if self.bucket:
            options += ["--bucket", self.bucket]
        return [str(program), "local", str(self.manifest), *options]

    def start(self, *, wrap: Sequence[str] = ()) -> Mailpod:
        """Start it and wait until every pod is ready. `wrap` is put before the command, as strace is."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*wrap, *self.command()],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.home,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.environment},
                start_new_session=True,
            )
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        for pod in range(self.pods):
            processes.wait_until(partial(self.answers, pod), seconds, f"pod {pod} is ready")

    def answers(self, pod: int) -> bool:
        return self.alive() and self.is_ready(pod)

    def alive(self) -> bool:
        assert self.process is not None
        code = self.process.poll()
        assert code is None, f"mail-operator local ended with {code}:\n{self.log_tail()}"
        return True

    def is_ready(self, pod: int = 0) -> bool:
        return self.http(pod, "/readyz")[0] == 200

    def http(self, pod: int, path: str) -> tuple[int, str]:
        """Status and text of a GET on a pod's HTTP port; status 0 when it does not answer."""
        url = f"http://{self.host}:{self.offset + HTTP + pod}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode("utf-8", "replace")
        except OSError:
            return 0, ""

    def pod_processes(self) -> list[psutil.Process]:
        """The mail pods that run now: the processes in whose command line `serve` stands."""
        assert self.process is not None
        found = []
        for process in processes.tree(self.process.pid):
            with contextlib.suppress(psutil.Error):
                if "serve" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return sorted(found, key=lambda process: process.cmdline())

    def kill_pod(self, pod: int = 0) -> int:
        """`kill -9` of one pod; returns the pid it had."""
        victim = self.pod_processes()[pod]
        victim.kill()
        return victim.pid

    def wait_restarted(self, gone: int, seconds: float = READY_SECONDS) -> None:
        """Wait until the pod that had the pid `gone` has a successor, and every pod is ready."""

        def replaced() -> bool:
            pids = {process.pid for process in self.pod_processes()}
            return gone not in pids and len(pids) == self.pods

        processes.wait_until(lambda: self.alive() and replaced(), seconds, "the killed pod was started again")
        self.wait_ready(seconds)

    def interrupt(self, seconds: float = 30.0) -> int:
        """Ctrl-C: SIGINT to the whole foreground group, as a terminal does. Returns the exit code."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(seconds)

    def stop(self) -> None:
        """End all of it, by SIGTERM and then by force."""
        if self.process is not None:
            processes.end(self.process)
            self.process = None

    def log_tail(self, start: int = 0, limit: int = 6000) -> str:
        """The end of the log, at most `limit` characters, of what was written after byte `start`."""
        if not self.log.exists():
            return ""
        return self.log.read_bytes()[start:].decode("utf-8", "replace")[-limit:]

    def reconfigure(self, **settings: dict[str, Any]) -> int:
        """Give the one pod settings that no manifest has; it starts again: `wait_restarted` with what this returns."""
        file = self.data / ".local" / "pod-0.json"
        config = json.loads(file.read_text())
        for name, more in settings.items():
            config[name] = config.get(name, {}) | more
        file.write_text(json.dumps(config))
        return self.kill_pod()

    # -- changes to the manifest

    def add(self, account: Account) -> None:
        self.accounts.append(account)
        self.write_manifest()

    def remove(self, account: Account) -> None:
        self.accounts.remove(account)
        self.write_manifest()

    def change_password(self, account: Account, password: str) -> Account:
        changed = Account(account.address, password)
        self.accounts[self.accounts.index(account)] = changed
        self.write_manifest()
        return changed


def own_ports(config: dict[str, Any], shared: Target) -> Target:
    """The ports of a pod's configuration file that it shares with no other pod."""
    names = {
        ("smtp", "mx", "starttls"): "smtp",
        ("smtp", "submission", "starttls"): "submission",
        ("smtp", "submission", "implicit"): "submissions",
        ("imap", None, "starttls"): "imap",
        ("imap", None, "implicit"): "imaps",
        ("pop3", None, "starttls"): "pop3",
        ("pop3", None, "implicit"): "pop3s",
    }
    ports = {}
    for listener in config["listeners"]:
        kind = (listener["protocol"], listener.get("role"), listener.get("tls", "starttls"))
        if kind in names and listener["port"] not in shared.ports.values():
            ports[names[kind]] = listener["port"]
    assert len(ports) == len(names), f"the pod has no full set of ports of its own: {config['listeners']}"
    return replace(shared, ports=ports)
