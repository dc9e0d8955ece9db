"""A real S3 server of one's own: SeaweedFS's `weed` from the venv, on free ports, in a folder of its own.

    from tests.fixtures_seaweed import Seaweed, seaweed      # the second is a session's pytest fixture

It sends no telemetry. It does not fsync a PUT until `sync_writes()` was called.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from tests.harness.ports import free_ports

_LIBC = ctypes.CDLL(None)
_READY = 60.0  # seconds; it takes two or three


class Seaweed:
    """One server process. `start()` returns when it takes requests; `stop()` leaves nothing but the folder."""

    access_key = "mailpod-tests"
    secret_key = "not-a-secret-only-tests"
    region = "us-east-1"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        names = ("master", "volume", "filer", "s3")
        self._ports = dict(zip([*names, *(f"{name}.grpc" for name in names)], free_ports(8), strict=True))
        self.endpoint = f"http://127.0.0.1:{self._ports['s3']}"
        self.bucket = "mail"
        self._numbers = itertools.count(1)
        self.identities: list[dict[str, object]] = []  # others than `tests`, as SeaweedFS writes them; before start()
        self._process: subprocess.Popen[bytes] | None = None
        self._made = False

    @property
    def pid(self) -> int:
        """The server's process id, for measuring its CPU."""
        assert self._process is not None
        return self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs beside the URL."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    def url(self, prefix: str = "", bucket: str | None = None) -> str:
        """The bucket as `open_bucket` and `--bucket` take it."""
        return f"s3://{bucket or self.bucket}/{prefix}?endpoint={self.endpoint}&region={self.region}"

    def start(self) -> Seaweed:
        self.folder.mkdir(parents=True, exist_ok=True)
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": self.access_key, "secretKey": self.secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (self.folder / "s3.json").write_text(json.dumps({"identities": [identity, *self.identities]}))
        (self.folder / "data").mkdir(exist_ok=True)
        with (self.folder / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(
                [_weed(), *self._arguments()],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=_die_with_parent,
                env={**os.environ, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "2"},
            )
        self._wait()
        if not self._made:  # else it is a server that was stopped, on the folder that it had
            self._shell(f"s3.bucket.create -name {self.bucket}")
            self._made = True
        return self

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def pause(self) -> None:
        """Stop answering, as a hung server does, until `resume()`."""
        os.kill(self.pid, signal.SIGSTOP)
        while not all(_stands_still(task) for task in Path(f"/proc/{self.pid}/task").iterdir()):
            time.sleep(0.01)  # the signal is under way: on a busy machine a thread may answer one more request

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def new_bucket(self) -> str:
        """An empty bucket besides `bucket`."""
        name = f"mail-{next(self._numbers)}"
        self._shell(f"s3.bucket.create -name {name}")
        return name

    def sync_writes(self) -> None:
        """From now on one fsync a PUT: what benchmarks call "fsync"."""
        self._shell("fs.configure -locationPrefix=/buckets/ -fsync=true -apply")

    def _shell(self, command: str) -> str:
        master = f"127.0.0.1:{self._ports['master']}.{self._ports['master.grpc']}"
        done = subprocess.run(
            [_weed(), "shell", f"-master={master}"], input=command.encode(), capture_output=True, timeout=60, check=True
        )
        return done.stdout.decode()

    def _arguments(self) -> list[str]:
        ports = [
            f"-{name.removesuffix('.grpc')}.port{'.grpc' * name.endswith('.grpc')}={port}"
            for name, port in self._ports.items()
        ]
        return [
            "server", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-filer", "-s3",
            "-s3.config=s3.json", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false",
            "-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock",
            "-volume.max=500", "-master.volumeSizeLimitMB=1024", "-volume.preStopSeconds=0",
            "-master.electionTimeout=1s", *ports,  # started again, it waits so long for other masters, or twice
        ]  # fmt: skip

    def _wait(self) -> None:
        deadline = time.monotonic() + _READY
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                break
            try:
                with urlopen(f"{self.endpoint}/status", timeout=1) as answer:
                    if answer.status == 200 and self._can_write():
                        return
            except (URLError, OSError):
                pass
            time.sleep(0.1)
        self.stop()
        raise RuntimeError("weed did not start: " + (self.folder / "weed.log").read_text(errors="replace")[-2000:])

    def _can_write(self) -> bool:
        """Whether the volume server has joined the master."""
        with urlopen(f"http://127.0.0.1:{self._ports['master']}/dir/assign", timeout=5) as answer:
            return "fid" in json.load(answer)


def _stands_still(task: Path) -> bool:
    return (task / "stat").read_text().rpartition(")")[2].split()[0] in "Tt"


def _die_with_parent() -> None:
    """In the new process: be killed when the tests are, which then cannot stop it (Linux's PR_SET_PDEATHSIG)."""
    if hasattr(_LIBC, "prctl"):
        _LIBC.prctl(1, signal.SIGKILL)


def _weed() -> str:
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed") or "weed"


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    server = Seaweed(tmp_path_factory.mktemp("seaweed"))
    try:
        yield server.start()
    finally:
        server.stop()
