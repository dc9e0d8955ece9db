"""A second S3 server: versitygw, built with Go once and kept (tests/cluster/cache.py), on a folder and a free port.

    from tests.fixtures_versitygw import Versity, versity      # the second is a session's pytest fixture

Its `posix` backend keeps each object as a file, and versions in a folder beside where it is told to.
"""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.cluster import binaries
from tests.fixtures_seaweed import _die_with_parent
from tests.harness.need import missing
from tests.harness.ports import free_port

_READY = 60.0  # seconds; it takes one


class Versity:
    """One server process. `start()` returns when it takes requests; `stop()` leaves nothing but the folder."""

    access_key = "mailpod-tests"
    secret_key = "not-a-secret-only-tests"
    region = "us-east-1"

    def __init__(self, folder: Path, program: Path) -> None:
        self.folder = folder
        self._program = program
        self._port = free_port()
        self.endpoint = f"http://127.0.0.1:{self._port}"
        self.bucket = "mail"
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs beside the URL."""
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    def url(self, prefix: str = "", bucket: str | None = None) -> str:
        """The bucket as `open_bucket` and `--bucket` take it."""
        return f"s3://{bucket or self.bucket}/{prefix}?endpoint={self.endpoint}&region={self.region}"

    def client(self) -> Any:
        return boto3.client(
            "s3", endpoint_url=self.endpoint, aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key, region_name=self.region,
        )  # fmt: skip

    def start(self) -> Versity:
        for name in ("data", "versions"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        with (self.folder / "versitygw.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=_die_with_parent,
                env={**os.environ, "ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key},
            )  # fmt: skip
        self._wait()
        self.client().create_bucket(Bucket=self.bucket)
        return self

    def new_bucket(self, *, versioning: bool = False) -> str:
        """An empty bucket besides `bucket`."""
        name, client = f"mail-{next(self._numbers)}", self.client()
        client.create_bucket(Bucket=name)
        if versioning:
            client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _command(self) -> list[str]:
        data, versions = (str((self.folder / name).absolute()) for name in ("data", "versions"))
        return [str(self._program), "--port", f"127.0.0.1:{self._port}", "posix", "--versioning-dir", versions, data]

    def _wait(self) -> None:
        deadline = time.monotonic() + _READY
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                break
            try:
                with socket.create_connection(("127.0.0.1", self._port), timeout=1):
                    return
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise RuntimeError("versitygw did not start: " + (self.folder / "versitygw.log").read_text("utf-8")[-2000:])


@pytest.fixture(scope="session")
def versity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versity]:
    """Skips, naming it, where there is no Go to build it with."""
    lacking = binaries.missing((binaries.VERSITYGW,))
    if lacking:
        missing(f"versitygw, to be built with {lacking[0].partition(',')[0]}")
    server = Versity(tmp_path_factory.mktemp("versitygw"), binaries.build((binaries.VERSITYGW,))["versitygw"])
    try:
        yield server.start()
    finally:
        server.stop()
