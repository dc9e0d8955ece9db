"""The second process: what it answers, and that nobody misses it when it does not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from tests.mailpod.mime.corpus import MESSAGES as ODD
from tests.mailpod.mime.strategies import messages as any_messages
from tests.mailpod.scanning.conftest import MakeScanner
from tests.mailpod.support import until

from mailpod.scanning import frames
from mailpod.scanning.found import find
from mailpod.scanning.link import Promise
from mailpod.scanning.scanner import Scanner

MAIL = [b"From: a@b.example\r\nSubject: %d\r\n\r\nText\r\n" % number for number in range(16)]
FOUND = [find(message) for message in MAIL]
READY = "import socket, sys, time; pod = socket.socket(fileno=0); pod.sendall(bytes(4));"
"""The beginning of a scanner that is none."""
POD = """
import asyncio
from mailpod.config import ScannerSettings
from mailpod.scanning.scanner import Scanner

async def main():
    scanner = Scanner(ScannerSettings())
    while scanner.offer([b""]) is None:
        await asyncio.sleep(0.005)
    print(scanner.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def handed(scanner: Scanner, messages: Sequence[bytes] = MAIL) -> Promise:
    """Once it is there."""
    async with asyncio.timeout(30):
        while (promise := scanner.offer(messages)) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return promise


async def answer(promise: Promise) -> object:
    """Not taken away from the scanner, however slow it is."""
    await until(lambda: not promise.wanted, 30)
    return await promise.claim()


def pid(scanner: Scanner) -> int:
    assert scanner.pid is not None
    return scanner.pid


def failures(capsys: pytest.CaptureFixture[str]) -> list[str]:
    logged = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    return [line["reason"] for line in logged if line["event"] == "scanner.failed"]


async def failure(capsys: pytest.CaptureFixture[str]) -> str:
    """What is logged of one."""
    async with asyncio.timeout(30):
        while not (reasons := failures(capsys)):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    (reason,) = reasons
    return reason


async def failed(scanner: Scanner, capsys: pytest.CaptureFixture[str]) -> str:
    """Why one failed that never took anything."""
    assert scanner.offer(MAIL) is None
    reason = await failure(capsys)
    assert scanner.pid is None
    assert scanner.offer(MAIL) is None
    return reason


def lives(number: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(number, 0)
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def test_it_starts_when_it_is_needed_and_finds_what_the_loop_would(make: MakeScanner) -> None:
    scanner = make()
    assert scanner.pid is None
    assert scanner.offer(MAIL) is None
    assert await answer(await handed(scanner)) == FOUND


def test_an_answer_says_the_same_on_the_other_side() -> None:
    @settings(max_examples=200)
    @given(any_messages)
    def check(data: bytes) -> None:
        assert frames.decode_found(frames.encode([find(data)])) == [find(data)]

    check()


async def test_odd_messages(make: MakeScanner) -> None:
    odd = [path.read_bytes() for path in ODD] + [b"", b"\xff\0", b"Subject: =?utf-8?q?=C3=A9?= \xe9\n\n"]
    promise = await handed(make(), odd)
    assert await answer(promise) == [find(message) for message in odd]


async def test_many_at_once_are_answered_each_with_its_own(make: MakeScanner) -> None:
    scanner = make()
    await handed(scanner)
    asked = [[b"Subject: %d\r\n\r\n" % number] * 3 for number in range(50)]
    promises = [await handed(scanner, some) for some in asked]
    assert [await answer(promise) for promise in promises] == [[find(each) for each in some] for some in asked]


async def test_what_it_has_not_begun_is_taken_back_and_not_looked_at(make: MakeScanner) -> None:
    scanner = make()
    await handed(scanner)
    os.kill(pid(scanner), signal.SIGSTOP)
    first, second, third = [await handed(scanner) for _ in range(3)]
    assert await second.claim() is None
    third.withdraw()
    os.kill(pid(scanner), signal.SIGCONT)
    assert await answer(first) == FOUND
    assert (await second.claim(), await third.claim()) == (None, None)
    assert await answer(await handed(scanner)) == FOUND


async def test_what_it_has_no_room_for_it_does_not_take(make: MakeScanner) -> None:
    scanner = make(memory_bytes=4096)
    await answer(await handed(scanner))
    os.kill(pid(scanner), signal.SIGSTOP)
    room = scanner.offer([b"x" * 3000])
    assert room is not None
    assert scanner.offer([b"x" * 3000]) is None
    os.kill(pid(scanner), signal.SIGCONT)
    await answer(room)
    assert scanner.offer([b"x" * 3000]) is not None


async def test_killed_in_the_middle(make: MakeScanner, capsys: pytest.CaptureFixture[str]) -> None:
    scanner = make(retry_seconds=0.01)
    await answer(await handed(scanner))
    os.kill(pid(scanner), signal.SIGSTOP)
    promises = [await handed(scanner) for _ in range(3)]
    os.kill(pid(scanner), signal.SIGKILL)
    assert [await promise.claim() for promise in promises] == [None] * 3
    assert await answer(await handed(scanner)) == FOUND
    assert failures(capsys) == ["it ended"]


async def test_after_a_failure_it_is_left_alone_for_a_while(
    make: MakeScanner, capsys: pytest.CaptureFixture[str]
) -> None:
    scanner = make(retry_seconds=3600)
    await answer(await handed(scanner))
    os.kill(pid(scanner), signal.SIGKILL)
    assert await failure(capsys) == "it ended"
    assert scanner.offer(MAIL) is None
    await asyncio.sleep(0)
    assert scanner.pid is None


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("pod.recv(1); pod.sendall(b'\\0\\0\\0\\1\\x90'); time.sleep(60)", "no answer"),  # of no message
        ("pod.recv(1); pod.sendall(b'\\0\\0\\0\\3abc'); time.sleep(60)", "no answer"),
        ("pod.recv(1)", "it ended"),
    ],
)
async def test_one_that_answers_wrongly_is_ended(
    make: MakeScanner, capsys: pytest.CaptureFixture[str], does: str, reason: str
) -> None:
    scanner = make((sys.executable, "-c", READY + does))
    promise = await handed(scanner)
    assert await promise.claim() is None
    assert await failure(capsys) == reason


async def test_one_that_never_answers_all_of_it(make: MakeScanner, capsys: pytest.CaptureFixture[str]) -> None:
    does = "pod.recv(1); pod.sendall(b'\\xff\\0\\0\\0'); time.sleep(60)"
    scanner = make((sys.executable, "-c", READY + does), answer_seconds=2)
    promise = await handed(scanner)
    assert await promise.claim() is None
    assert await failure(capsys) == "late"


async def test_one_that_answers_what_nobody_asked(make: MakeScanner, capsys: pytest.CaptureFixture[str]) -> None:
    scanner = make((sys.executable, "-c", READY + "pod.sendall(b'\\0\\0\\0\\1\\x90'); time.sleep(60)"))
    assert await failed(scanner, capsys) == "no answer"


async def test_one_that_never_says_that_it_is_ready(make: MakeScanner, capsys: pytest.CaptureFixture[str]) -> None:
    scanner = make((sys.executable, "-c", "import time; time.sleep(60)"), answer_seconds=0.1)
    assert await failed(scanner, capsys) == "late"


async def test_one_that_cannot_be_started(make: MakeScanner, capsys: pytest.CaptureFixture[str]) -> None:
    assert await failed(make(("/no/such/program",)), capsys) == "No such file or directory"


async def test_not_needed_for_a_while_it_ends_and_comes_back(
    make: MakeScanner, capsys: pytest.CaptureFixture[str]
) -> None:
    scanner = make(idle_seconds=0.2)
    await answer(await handed(scanner))
    await until(lambda: scanner.pid is None)
    assert await answer(await handed(scanner)) == FOUND
    assert failures(capsys) == []


async def test_when_the_pod_stops_who_waits_is_told_and_nothing_is_left(make: MakeScanner) -> None:
    scanner = make()
    await answer(await handed(scanner))
    number = pid(scanner)
    os.kill(number, signal.SIGSTOP)
    waiting = asyncio.ensure_future((await handed(scanner)).claim())
    await asyncio.sleep(0)
    await scanner.close()
    assert await waiting is None
    assert not lives(number)
    assert scanner.offer(MAIL) is None


async def test_it_does_not_outlive_a_pod_that_was_killed() -> None:
    pod = await asyncio.create_subprocess_exec(sys.executable, "-c", POD, stdout=asyncio.subprocess.PIPE)
    assert pod.stdout is not None
    async with asyncio.timeout(30):
        number = int(await pod.stdout.readline())
    assert lives(number)
    pod.kill()
    await pod.wait()
    await until(lambda: not lives(number), 30)
