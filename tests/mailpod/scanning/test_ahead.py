"""What a command hands over while it comes, and who finds out what of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
from prometheus_client import REGISTRY

from mailpod.config import ScannerSettings
from mailpod.scanning.ahead import FEW, Ahead
from mailpod.scanning.found import Found, find
from mailpod.scanning.link import Promise
from mailpod.scanning.scanner import Scanner

MESSAGES = [b"Subject: %d\r\n\r\n%d" % (number, number) for number in range(100)]


class Handed:
    """A promise: `found` is what is answered, None where it is not begun."""

    def __init__(self, messages: Sequence[bytes], begun: bool) -> None:
        self.messages = list(messages)
        self.found = [find(message) for message in messages] if begun else None
        self.withdrawn = False

    async def claim(self) -> list[Found] | None:
        await asyncio.sleep(0)
        return self.found

    def withdraw(self) -> None:
        self.withdrawn = True


class Scanning:
    """A scanner that has begun `begun` of what it was handed, and has room for `room`."""

    def __init__(self, begun: int = 100, room: int = 100, **settings: int) -> None:
        self.settings = ScannerSettings(**settings)
        self.begun, self.room = begun, room
        self.handed: list[Handed] = []
        self.ahead = Ahead(cast(Scanner, self))
        self.here: list[bytes] = []

    def offer(self, messages: Sequence[bytes]) -> Promise | None:
        if len(self.handed) == self.room:
            return None
        self.handed.append(Handed(messages, len(self.handed) < self.begun))
        return cast(Promise, self.handed[-1])

    @property
    def sizes(self) -> list[int]:
        return [len(handed.messages) for handed in self.handed]

    async def find(self, messages: Sequence[bytes]) -> list[Found]:
        async def here(message: bytes) -> Found:
            self.here.append(message)
            return find(message)

        return await self.ahead.find(messages, here)


def counted(by: str) -> float:
    return REGISTRY.get_sample_value("mailpod_appended_messages_scanned_total", {"by": by}) or 0.0


async def test_slices_of_sixteen_each_message_once_and_a_few_wait_for_more() -> None:
    scanning = Scanning()
    for there in (FEW - 1, FEW, FEW + 1, 70, 75, 100):
        scanning.ahead.see(MESSAGES[:there])
    assert scanning.sizes == [8, 16, 16, 16, 14, 16, 14]
    assert [message for handed in scanning.handed for message in handed.messages] == MESSAGES


async def test_a_slice_has_so_many_octets_and_one_message_at_most() -> None:
    scanning = Scanning()
    scanning.ahead.see([b"x" * 100_000] * 7)
    assert scanning.sizes == [3, 3]


async def test_a_large_message_is_not_handed_over() -> None:
    scanning = Scanning(message_bytes=100)
    messages = [*MESSAGES[:4], b"x" * 101, *MESSAGES[4:8]]
    scanning.ahead.see(messages)
    assert scanning.handed[0].messages == MESSAGES[:8]
    assert await scanning.find(messages) == [find(message) for message in messages]
    assert scanning.here == [b"x" * 101]


async def test_what_is_not_begun_is_found_here_from_the_last_backwards() -> None:
    scanning, before = Scanning(begun=2), (counted("scanner"), counted("loop"))
    scanning.ahead.see(MESSAGES[:64])
    assert await scanning.find(MESSAGES[:70]) == [find(message) for message in MESSAGES[:70]]
    assert sorted(scanning.here[:6]) == MESSAGES[64:70]  # which nobody else was given, first
    assert scanning.here[6:] == MESSAGES[48:64] + MESSAGES[32:48]
    assert (counted("scanner") - before[0], counted("loop") - before[1]) == (32, 38)


async def test_a_part_of_them_and_then_the_rest() -> None:
    scanning = Scanning(begun=1, room=3)
    scanning.ahead.see(MESSAGES)
    first, rest = await scanning.find(MESSAGES[:12]), await scanning.find(MESSAGES[12:])
    assert first + rest == [find(message) for message in MESSAGES]
    assert sorted(scanning.here) == sorted(MESSAGES[16:])


async def test_equal_octets_are_not_the_same_message() -> None:
    scanning = Scanning()
    scanning.ahead.see(MESSAGES[:16])
    changed = [bytes(bytearray(message)) for message in MESSAGES[:16]]
    assert await scanning.find(changed) == [find(message) for message in MESSAGES[:16]]
    assert len(scanning.here) == 16


@pytest.mark.parametrize("count", [0, 1])
async def test_without_anything_handed_over(count: int) -> None:
    assert await Scanning().find(MESSAGES[:count]) == [find(message) for message in MESSAGES[:count]]


async def test_what_is_dropped_is_withdrawn() -> None:
    scanning = Scanning()
    scanning.ahead.see(MESSAGES)
    scanning.ahead.drop()
    assert all(handed.withdrawn for handed in scanning.handed)
