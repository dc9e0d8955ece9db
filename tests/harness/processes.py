"""Processes that the tests start: their trees, their CPU time, their memory, and a certain end for them."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable

import psutil


def tree(pid: int) -> list[psutil.Process]:
    """The process and all its descendants that live now."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(pid: int) -> float:
    """User and system time of a tree, children that ended and were waited for included, each counted once."""
    total = 0.0
    for process in tree(pid):
        with contextlib.suppress(psutil.Error):
            total += sum(process.cpu_times()[:4])  # user, system, and those of the children reaped so far
    return total


def pss_bytes(pid: int) -> int:
    """Proportional set size of a tree: memory that processes share is counted once."""
    total = 0
    for process in tree(pid):
        with contextlib.suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total


def end(process: subprocess.Popen[bytes], grace: float = 15.0) -> None:
    """SIGTERM, `grace` seconds, then SIGKILL to all that is left of its tree: nothing outlives a test."""
    family = tree(process.pid)
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    for member in family:
        with contextlib.suppress(psutil.Error):
            member.kill()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def wait_until(condition: Callable[[], object], seconds: float, what: str, step: float = 0.05) -> float:
    """Wait for something to become true; returns how long it took. AssertionError names `what` when it does not."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"after {seconds} s still not: {what}"
        time.sleep(step)
    return time.monotonic() - started


def allow_files(wanted: int) -> None:
    """For this process and those that it starts: many systems allow 1,024 open files at first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard < 0 else min(wanted, hard), hard))
