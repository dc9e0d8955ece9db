"""An acknowledgement waits for fsync of file and folder: shown by the order of system calls (DECISIONS.md)."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import MakeMailpod
from tests.harness.clients import letter
from tests.harness.imap import Imap
from tests.harness.need import missing, need
from tests.harness.processes import wait_until
from tests.harness.server import Mailpod
from tests.harness.smtp import Smtp

CALLS = (
    "openat,open,close,fsync,fdatasync,link,linkat,rename,renameat,renameat2,write,sendto,sendmsg,writev,io_uring_enter"
)


def traced(server: Mailpod, tmp_path: Path, work: Callable[[], None]) -> list[str]:
    """The system calls of the pod while `work` runs, one a line, in the order in which they ended."""
    strace = need("strace")
    (pod,) = server.pod_processes()
    log = tmp_path / "strace"
    # -y names the file behind each descriptor; -s shows enough of what is sent
    command = [strace, "-f", "-y", "-s", "200", "-e", f"trace={CALLS}", "-o", str(log), "-p", str(pod.pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        time.sleep(0.5)
        if tracer.poll() is not None:
            missing("a strace that may attach")
        wait_until(log.exists, 10, "strace runs")
        work()
        time.sleep(0.5)
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(20)
    return joined(log.read_text(errors="replace").splitlines())


def joined(lines: list[str]) -> list[str]:
    """Calls that strace split (`<unfinished ...>`, `<... resumed>`) put together where they ended."""
    begun: dict[str, str] = {}
    whole = []
    for line in lines:
        pid, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            begun[pid] = call.removesuffix("<unfinished ...>")
        elif resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", call):
            whole.append(begun.pop(pid, "") + resumed[1])
        else:
            whole.append(call)
    return whole


def index(calls: list[str], pattern: str, start: int = 0) -> int:
    for at in range(start, len(calls)):
        if re.search(pattern, calls[at]):
            return at
    raise AssertionError(f"no {pattern} after call {start}:\n" + "\n".join(calls[start:][:80]))


def assert_durable_before(calls: list[str], start: int, answer: str) -> None:
    """Between `start` and the answer: the temporary file is synced, gets its name, and then the folder is synced."""
    acknowledged = index(calls, answer, start)
    before = calls[:acknowledged]
    named = index(before, r"^(?:link|linkat|rename|renameat2?)\(.*/log(?:/|>, \")\d{20}", start)
    synced = [at for at in range(start, named) if re.match(r"f(?:data)?sync\(", before[at])]
    assert synced, "the file was not synced before it got its name:\n" + "\n".join(before[start:])
    folder = index(before, r"^f(?:data)?sync\(\d+<[^>]*/log>\) += 0", named)
    assert named < folder < acknowledged


@pytest.fixture
def server(make_mailpod: MakeMailpod) -> Mailpod:
    if shutil.which("strace") is None:
        missing("strace")
    return make_mailpod()


def test_250_is_sent_after_file_and_folder_are_synced(server: Mailpod, tmp_path: Path) -> None:
    account = server.accounts[0]
    with Smtp(server.target()) as smtp:
        smtp.envelope("a@elsewhere.test", [account.address])
        smtp.expect(354, "DATA")

        def work() -> None:
            smtp.send(letter()[1] + b".\r\n")
            assert smtp.reply().code == 250

        calls = traced(server, tmp_path, work)
    assert_durable_before(calls, 0, r"^(?:write|sendto|sendmsg|writev)\(.*\"250 ")


def test_ok_to_append_and_store_is_sent_after_file_and_folder_are_synced(server: Mailpod, tmp_path: Path) -> None:
    account = server.accounts[0]
    with Imap(server.target(), account) as imap:
        assert imap.append("INBOX", letter()[1]).ok
        imap.ok("SELECT INBOX")

        def work() -> None:
            assert imap.append("INBOX", letter()[1]).ok  # T4
            imap.ok("STORE 1 +FLAGS.SILENT (\\Seen)")  # T5

        calls = traced(server, tmp_path, work)
        appended = index(calls, r"^(?:write|sendto|sendmsg|writev)\(.*T4 OK")
    assert_durable_before(calls, 0, r"^(?:write|sendto|sendmsg|writev)\(.*T4 OK")
    assert_durable_before(calls, appended + 1, r"^(?:write|sendto|sendmsg|writev)\(.*T5 OK")
