"""A whole pod: started as `mailpod serve`, probed over HTTP, stopped by signals."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.harness.need import need
from tests.harness.ports import free_port

from mailpod.config import EXPECTED, BucketSettings, ListenerSettings, PodSettings, digest
from mailpod.pod import Pod
from mailpod.pop3.server import Pop3Session
from mailpod.store.memory import MemoryObjects
from mailpod.store.objects import StorageError


class Process:
    """`mailpod serve` on a folder, with one listener of each kind that is asked for."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.http, self.pop3 = free_port(), free_port()
        config = {
            "name": "pod-under-test",
            "bucket": {"url": str(folder / "bucket")},
            "directory_keys": [base64.b64encode(bytes(32)).decode()],
            "listeners": [
                {"protocol": "http", "host": "127.0.0.1", "port": self.http, "tls": "none"},
                {"protocol": "pop3", "host": "127.0.0.1", "port": self.pop3},
            ],
        } | settings
        self.file = folder / "pod.json"
        self.file.write_text(json.dumps(config))
        self.log = (folder / "log").open("w+")
        self.begin()

    def begin(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mailpod.cli", "serve", "--config", str(self.file)], stderr=self.log
        )

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 20
        while self.get("/readyz")[0] != 200:
            assert self.process.poll() is None, self.events()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def events(self) -> list[dict[str, Any]]:
        self.log.flush()
        return [json.loads(line) for line in Path(self.log.name).read_text().splitlines()]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Process]:
    pod = Process(tmp_path)
    try:
        pod.wait_ready()
        yield pod
    finally:
        pod.process.kill()
        pod.process.wait()
        pod.log.close()


def test_serves_probes_and_metrics_and_stops_in_order(pod: Process) -> None:
    assert pod.get("/healthz") == (200, "ok\n")
    assert pod.get("/readyz") == (200, "ready\n")
    status, metrics = pod.get("/metrics")
    assert status == 200
    assert "mailpod_open_connections" in metrics
    with socket.create_connection(("127.0.0.1", pod.pop3)) as client:
        file = client.makefile("rb")
        assert file.readline().startswith(b"+OK")
        assert pod.stop() == 0
        assert file.read() is not None
    names = [event["event"] for event in pod.events()]
    assert names[0] == "pod.started"
    assert names[-1] == "pod.stopped"
    assert all(event["pod"] == "pod-under-test" for event in pod.events())


def test_interrupt_stops_it_too(pod: Process) -> None:
    assert pod.stop(signal.SIGINT) == 0


def test_settings_that_are_late_are_waited_for(pod: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    pod.stop()
    late = pod.file.read_bytes() + b"\n"
    monkeypatch.setenv(EXPECTED, digest(late))
    pod.begin()
    with pytest.raises(subprocess.TimeoutExpired):
        pod.process.wait(2)
    assert pod.get("/healthz") == (0, "")
    pod.file.write_bytes(late)
    pod.wait_ready()
    assert pod.stop() == 0


def test_setting_that_does_not_exist_is_named(tmp_path: Path) -> None:
    pod = Process(tmp_path, drain_secnods=3)
    assert pod.process.wait(20) == 2
    assert (tmp_path / "log").read_text() == "mailpod: drain_secnods: no such setting\n"
    pod.log.close()


def test_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        pod = Process(tmp_path, listeners=[{"protocol": "http", "host": "127.0.0.1", "port": port, "tls": "none"}])
        assert pod.process.wait(20) == 2
        assert f"http 127.0.0.1:{port}:" in (tmp_path / "log").read_text()
        pod.log.close()


class Away(MemoryObjects):
    """A bucket that does not answer."""

    async def get_head(self, key: str, size: int) -> tuple[bytes, int]:
        raise StorageError("away")


def settings(**more: Any) -> PodSettings:
    listeners = [ListenerSettings(protocol=name, host="127.0.0.1", port=0, tls="none") for name in ("http", "pop3")]
    keys = [base64.b64encode(bytes(32)).decode()]
    return PodSettings(bucket=BucketSettings(url="memory:"), listeners=listeners, directory_keys=keys, **more)


async def ask(pod: Pod, path: str) -> tuple[int, str]:
    port = next(port for name, port in pod.ports.items() if name.startswith("http"))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), body.decode()


async def test_is_ready_without_its_bucket_and_says_so() -> None:
    pod = Pod(settings(), Away(), rng=random.Random(1))
    await pod.start()
    await asyncio.sleep(0.1)
    assert (await ask(pod, "/readyz"))[0] == 200
    assert "bucket: down" in (await ask(pod, "/healthz?verbose"))[1]
    assert "mailpod_bucket_up 0.0" in (await ask(pod, "/metrics"))[1]
    await pod.drain()


async def test_without_a_key_it_is_not_ready() -> None:
    pod = Pod(settings().model_copy(update={"directory_keys": []}), MemoryObjects())
    await pod.start()
    assert await ask(pod, "/readyz") == (503, "no directory key is configured\n")
    await pod.drain()


async def test_while_it_drains_it_is_not_ready_and_a_stubborn_client_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pop3Session, "on_drain", lambda self: None)
    pod = Pod(settings(drain_seconds=0.5), MemoryObjects())
    await pod.start()
    pop3 = next(port for name, port in pod.ports.items() if name.startswith("pop3"))
    reader, writer = await asyncio.open_connection("127.0.0.1", pop3)
    await reader.readline()
    draining = asyncio.ensure_future(pod.drain())
    await asyncio.sleep(0.1)
    assert await ask(pod, "/readyz") == (503, "draining\n")
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", pop3)
    await draining
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()


def test_promtool_finds_nothing_in_the_metrics(pod: Process) -> None:
    check = subprocess.run(
        [need("promtool"), "check", "metrics"], input=pod.get("/metrics")[1].encode(), capture_output=True, check=False
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")
