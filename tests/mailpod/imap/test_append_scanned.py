"""APPEND of many messages, which a second process looks at while they come: what is stored is the same."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence

import pytest
from prometheus_client import REGISTRY
from tests.mailpod.imap.dialogue import Client, MakeWorld, World, eventually
from tests.mailpod.mime.corpus import MESSAGES

from mailpod.config import ScannerSettings
from mailpod.scanning.scanner import Scanner

MAIL = [
    b"From: Ann <ann@example.org>\r\nSubject: %d\r\nX-Own: y\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\n%b\r\n--b--\r\n' % (number, b"text " * 500)
    for number in range(100)
]
ODD = [message for message in (path.read_bytes() for path in MESSAGES) if message]
ITEMS = b"FETCH 1:* (UID RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (X-Own)] BODY.PEEK[])"


@pytest.fixture
async def world(make: MakeWorld) -> AsyncIterator[World]:
    world = await make()
    world.services.scanner = Scanner(ScannerSettings(answer_seconds=60, retry_seconds=0.01))
    yield world
    await world.services.scanner.close()


def several(messages: Sequence[bytes]) -> bytes:
    return b"APPEND INBOX" + b"".join(b" {%d+}\r\n%b" % (len(each), each) for each in messages)


async def stored(world: World, user: str) -> list[bytes]:
    return await (await world.login(user, select="INBOX")).ok(ITEMS)


async def started(world: World) -> int:
    """The scanner's process, once it takes something."""
    scanner = world.services.scanner
    assert scanner is not None
    async with asyncio.timeout(30):
        while (promise := scanner.offer([b""])) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        await promise.claim()
    assert scanner.pid is not None
    return scanner.pid


def scanned() -> float:
    return REGISTRY.get_sample_value("mailpod_appended_messages_scanned_total", {"by": "scanner"}) or 0.0


async def append(client: Client, messages: Sequence[bytes]) -> None:
    assert b"APPENDUID" in (await client.ask(several(messages)))[-1]


@pytest.mark.parametrize("messages", [MAIL, ODD * 2, MAIL[:10]], ids=["many", "odd", "a few"])
async def test_it_is_as_if_the_loop_had_looked(world: World, messages: list[bytes]) -> None:
    bob, ann = await world.login("bob"), await world.login("ann")
    scanner, world.services.scanner = world.services.scanner, None
    await append(bob, messages)
    world.services.scanner = scanner
    await started(world)
    before = scanned()
    await append(ann, messages)
    assert not messages or scanned() > before
    assert await stored(world, "ann") == await stored(world, "bob")


async def test_nobody_waits_for_the_process_to_start(world: World) -> None:
    never = (sys.executable, "-c", "import time; time.sleep(60)")
    scanner = world.services.scanner = Scanner(ScannerSettings(answer_seconds=60), never)
    before = scanned()
    await append(await world.login(), MAIL)
    await eventually(lambda: scanner.pid is not None)
    assert scanned() == before


async def test_killed_in_the_middle_of_a_command(world: World) -> None:
    number = await started(world)
    ann, whole = await world.login(), b"a %b\r\n" % several(MAIL)
    os.kill(number, signal.SIGSTOP)
    await ann.send(whole[: len(whole) // 2])
    await eventually(lambda: any(session.ahead is not None for session in world.sessions()))
    os.kill(number, signal.SIGKILL)
    await ann.send(whole[len(whole) // 2 :])
    assert b"APPENDUID" in (await ann.until(b"a"))[-1]
    await append(await world.login("bob"), MAIL)
    assert await stored(world, "ann") == await stored(world, "bob")


async def test_a_command_that_is_cut_or_refused_leaves_nothing_for_the_next(world: World) -> None:
    number = await started(world)
    os.kill(number, signal.SIGSTOP)
    cut, ann = await world.login(), await world.login()
    await cut.send(b"a " + several(MAIL)[:-1000])
    await eventually(lambda: any(session.ahead is not None for session in world.sessions()))
    cut.close()
    assert (await ann.ask(several(MAIL) + b" nonsense"))[-1].startswith(b"a BAD")
    await eventually(lambda: all(session.ahead is None for session in world.sessions()))
    os.kill(number, signal.SIGCONT)
    await append(ann, MAIL[::-1])
    assert len(await stored(world, "ann")) == len(MAIL)
