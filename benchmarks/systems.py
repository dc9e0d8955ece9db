"""What is measured: Mailpod on a folder, Mailpod on SeaweedFS, and the peers, each behind the same few calls."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from tests.fixtures_seaweed import Seaweed
from tests.harness import manifest, processes
from tests.harness.server import Mailpod
from tests.harness.target import Account, Target

from benchmarks import peers
from benchmarks.profile_pod import profiled

ACCOUNTS = 30


class System(Protocol):
    """A mail server under measurement. `durable` says what its acknowledgement waits for."""

    name: str
    durable: str

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def restart(self) -> None:
        """A new process over the same mail: nothing of it is in the server's memory (it is in the page cache)."""

    def observe(self, on: bool) -> None:
        """Begin or end profiling, where profiles are wanted."""

    def keep_profiles(self, work: str) -> None:
        """Put what profiles there are with those of this work."""

    def target(self) -> Target: ...
    def cpu_seconds(self) -> float:
        """CPU of all the server's processes so far, the S3 server's included."""

    def memory_bytes(self) -> int:
        """PSS of all the server's processes."""


class OnFolder:
    """Mailpod with a plain folder as its bucket."""

    name = "Mailpod, folder"
    durable = "fsync of file and folder, or of the journal"

    def __init__(self, accounts: Sequence[Account], profile: Path | None = None) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="mailpod-bench-"))
        self.accounts = accounts
        self.profile = profile
        self.environment = profiled(profile) if profile else {}
        self.server: Mailpod | None = None

    @property
    def running(self) -> Mailpod:
        assert self.server is not None
        return self.server

    def start(self) -> None:
        self.server = Mailpod(self.home, self.accounts, environment=self.environment).start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def restart(self) -> None:
        self.running.stop()
        self.running.start()

    def observe(self, on: bool) -> None:
        if self.profile is None:
            return
        before = len(list(self.profile.glob("pod-*.prof")))
        for pod in self.running.pod_processes():
            pod.send_signal(signal.SIGUSR1 if on else signal.SIGUSR2)
        if not on:
            profile = self.profile
            processes.wait_until(lambda: len(list(profile.glob("pod-*.prof"))) > before, 30, "the profile is written")

    def keep_profiles(self, work: str) -> None:
        for file in self.profile.glob("pod-*.prof") if self.profile else ():
            folder = file.parent / work
            folder.mkdir(exist_ok=True)
            file.rename(folder / file.name)

    def target(self) -> Target:
        return self.running.target()

    def cpu_seconds(self) -> float:
        assert self.running.process is not None
        return processes.cpu_seconds(self.running.process.pid)

    def memory_bytes(self) -> int:
        assert self.running.process is not None
        return processes.pss_bytes(self.running.process.pid)


class OnSeaweedFS(OnFolder):
    """Mailpod with SeaweedFS as its bucket, told to fsync each PUT (it does not by itself)."""

    name = "Mailpod, SeaweedFS"
    durable = "PUT, fsynced by SeaweedFS"
    weed: Seaweed | None = None

    def start(self) -> None:
        self.weed = Seaweed(self.home / "weed").start()
        self.weed.sync_writes()
        environment = {**self.environment, **self.weed.environment}
        self.server = Mailpod(self.home, self.accounts, bucket=self.weed.url("bench"), environment=environment).start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.stop()
        if self.weed is not None:
            self.weed.stop()
        super().stop()

    def cpu_seconds(self) -> float:
        assert self.weed is not None
        return super().cpu_seconds() + processes.cpu_seconds(self.weed.pid)


class Peer:
    """Postfix and Dovecot; a restart is Dovecot's."""

    durable = "fsync by both; STORE for nothing"

    def __init__(self, accounts: Sequence[Account], profile: Path | None = None, store: str = "maildir") -> None:
        self.name = self.name_of(store)
        self.servers = peers.Peers(accounts, store)
        self.start = self.servers.start
        self.stop = self.servers.stop
        self.restart = self.servers.restart_dovecot
        self.target = self.servers.target
        self.cpu_seconds = self.servers.cpu_seconds
        self.memory_bytes = self.servers.memory_bytes

    @staticmethod
    def name_of(store: str) -> str:
        return f"Postfix+Dovecot ({store})"

    def observe(self, on: bool) -> None:
        """Of these no profiles are taken."""

    def keep_profiles(self, work: str) -> None:
        """There are none."""


QUIET = 0.06  # seconds of CPU in WINDOW
WINDOW = 3.0  # longer than from a commit to the checkpoint that it makes due
PATIENCE = 600.0


def settled(system: System) -> None:
    """Wait until the server has no more work of its own, such as packing and writing search postings."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        before = system.cpu_seconds()
        time.sleep(WINDOW)
        if system.cpu_seconds() - before < QUIET:
            return


OURS = {"folder": OnFolder.name, "seaweedfs": OnSeaweedFS.name}
Maker = Callable[[Sequence[Account], Path | None], System]
KINDS: dict[str, Maker] = {
    "folder": OnFolder,
    "seaweedfs": OnSeaweedFS,
    "peers": lambda accounts, profile: Peer(accounts, profile, "maildir"),
    "peers-mdbox": lambda accounts, profile: Peer(accounts, profile, "mdbox"),
}


def accounts() -> list[Account]:
    return manifest.accounts(ACCOUNTS)
