"""The operator in a process of its own that dies at its k-th outgoing write; the operator's code is as it is shipped.

- Every POST, PUT, PATCH and DELETE to the API server counts, and every write of obstore and of boto3 to the bucket;
  each among those for the same thing (`AMONG`), as the Lease's come by the clock and the probe's are many and alike.
- The process is forked from one that has everything imported, so that a start costs no second.
"""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

T = TypeVar("T")
Variant = Literal["answered", "sent", "cut", "frozen"]
VARIANTS: Final[tuple[Variant, ...]] = ("answered", "sent", "cut")
"""What happens at the k-th write: the process is killed when the answer comes, before it is used; it is killed when the
request is on its way; it lives, the write is carried out, and the answer is lost (the connection cut). A fourth,
`frozen`: it stands still (SIGSTOP) when the answer comes."""
Among = Literal["work", "events", "probe", "bucket", "lease"]
AMONG: Final[tuple[Among, ...]] = ("work", "events", "probe", "bucket", "lease")
"""`bucket`: its administration by boto3; `probe`: the trial of the bucket; `work`: all that none of the others is."""
_IMPORTED: Final = [
    "tests.apiserver.killing",
    "pytest",
    "mailoperator.cli",
    "mailoperator.run",
    "mailoperator.settings",
]
_READS: Final = ("Get", "List", "Head")
_LIBC = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Kill:
    """When and how. `k` counts from 1, the writes of one kind whose line has `only`, a pattern, in it."""

    among: Among
    k: int
    variant: Variant
    only: str = ""

    def counts(self, what: str) -> bool:
        return kind_of(what) == self.among and re.search(self.only, what) is not None


def kind_of(what: str) -> Among:
    """What a write is for, by its line in the journal."""
    if what.startswith("boto3 "):
        return "bucket"
    if " .mailpod/probe/" in what:
        return "probe"
    if "/leases" in what:
        return "lease"
    return "events" if what.endswith("/events") else "work"


class Launcher:
    """Starts operators, from any thread. Ends with the test run, and they with it.

    An exit status comes once, through a pipe. multiprocessing reads it not only for who asks, but for all processes
    whenever one is started: of two threads that read it together one takes it for 255. So they take turns.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_IMPORTED)

    def start(self, config: Path, kubeconfig: Path, log: Path, journal: Path, kill: Kill | None) -> ForkServerProcess:
        """`journal` gets a line for each write, before it is sent."""
        process = self._context.Process(target=_main, args=(config, kubeconfig, log, journal, kill), daemon=True)
        with self._turn:
            process.start()
        return process

    def status(self, process: ForkServerProcess) -> int | None:
        """Its exit status, as multiprocessing has it; None while it runs."""
        with self._turn:
            return process.exitcode

    def stop(self) -> None:
        """End the process that operators are forked from; none of them may run any more."""
        forkserver._forkserver._stop()  # type: ignore[attr-defined]


class _Writes:
    """Counts this process's writes and ends it at the k-th."""

    def __init__(self, journal: Path, kill: Kill | None) -> None:
        self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._kill, self._count, self._lock = kill, 0, threading.Lock()

    def next(self, what: str) -> Variant | None:
        """Count a write; how it is to end, None for almost all."""
        with self._lock:
            os.write(self._journal, f"{what}\n".encode())
            if self._kill is None or not self._kill.counts(what):
                return None
            self._count += 1
            return self._kill.variant if self._count == self._kill.k else None

    async def do(self, what: str, write: Callable[[], Awaitable[T]], lost: Exception) -> T:
        """`write`, and what is to happen with it. Raises `lost` where the answer is to be lost."""
        variant = self.next(what)
        if variant == "sent":
            sending = asyncio.ensure_future(write())
            await asyncio.sleep(self._moment())
            del sending
            die()
        result = await write()
        if variant == "frozen":
            os.kill(os.getpid(), signal.SIGSTOP)
        if variant == "answered":
            die()
        if variant == "cut":
            raise lost
        return result

    def do_in_thread(self, what: str, write: Callable[[], T], lost: Exception) -> T:
        variant = self.next(what)
        if variant == "sent":
            threading.Thread(target=write, daemon=True).start()
            time.sleep(self._moment())
            die()
        result = write()
        if variant == "answered":
            die()
        if variant == "cut":
            raise lost
        return result

    def _moment(self) -> float:
        """Seconds: 0 to 5 ms, so that some are killed before the server has it and some after."""
        return (self._count % 6) / 1000


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _main(config: Path, kubeconfig: Path, log: Path, journal: Path, kill: Kill | None) -> None:
    _LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: with the server that forked it, which ends with the tests
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    writes = _Writes(journal, kill)
    _wrap_api(writes)
    _wrap_obstore(writes)
    _wrap_boto3(writes)
    _count_sweeps(journal.with_name(journal.name.replace("journal", "sweeps")))
    _note_looks(journal.with_name(journal.name.replace("journal", "looks")))
    from mailoperator.cli import main

    main(["run", "--config", str(config), "--kubeconfig", str(kubeconfig)])


def _wrap_api(writes: _Writes) -> None:
    from mailoperator.kube import ApiError, Kube

    request = Kube.request

    async def counted(self: Kube, method: str, path: str, *rest: Any, **named: Any) -> Any:
        carry_out = partial(request, self, method, path, *rest, **named)
        if method == "GET":
            return await carry_out()
        return await writes.do(f"{method} {path}", carry_out, ApiError(0, "Unreachable", "the answer was lost"))

    Kube.request = counted  # type: ignore[method-assign]


def _wrap_obstore(writes: _Writes) -> None:
    """Every asynchronous write that obstore has, whichever of them the store uses."""
    import obstore
    from obstore.exceptions import GenericError

    for name in ("put_async", "delete_async", "copy_async", "rename_async"):
        write = getattr(obstore, name)
        assert inspect.isroutine(write), name

        async def counted(
            store: Any, paths: Any, *rest: Any, write: Any = write, name: str = name, **named: Any
        ) -> Any:
            keys = paths if isinstance(paths, str) else " ".join(paths)
            carry_out = partial(write, store, paths, *rest, **named)
            return await writes.do(f"{name} {keys}", carry_out, GenericError("the answer was lost"))

        setattr(obstore, name, counted)


def _wrap_boto3(writes: _Writes) -> None:
    from botocore.client import BaseClient
    from botocore.exceptions import ReadTimeoutError

    call = BaseClient._make_api_call

    def counted(self: Any, operation: str, arguments: Any) -> Any:
        if operation.startswith(_READS):
            return call(self, operation, arguments)
        lost = ReadTimeoutError(endpoint_url="the answer was lost")
        return writes.do_in_thread(f"boto3 {operation}", partial(call, self, operation, arguments), lost)

    BaseClient._make_api_call = counted


def _count_sweeps(file: Path) -> None:
    """A line for each sweep that listed everything."""
    from mailoperator.operator import Operator

    sweep = Operator.sweep

    async def counted(self: Operator) -> None:
        await sweep(self)
        with file.open("ab") as out:
            out.write(b"swept\n")

    Operator.sweep = counted  # type: ignore[method-assign]


def _note_looks(file: Path) -> None:
    """A line for each look at the Lease: whose it was."""
    from mailoperator.leader import Leader

    renew = Leader.renew

    async def noted(self: Leader) -> None:
        await renew(self)
        with file.open("ab") as out:
            out.write(b"mine\n" if self.is_leading else b"other\n")

    Leader.renew = noted  # type: ignore[method-assign]
