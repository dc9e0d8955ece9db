"""Hints over real sockets on 127.0.0.1."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from tests.mailpod.support import until

from mailpod.clock import SystemClock
from mailpod.config import HintSettings
from mailpod.net.hintcode import Hint, encode, format_keys
from mailpod.net.hints import Hints

KEY, NEXT = b"k" * 32, b"n" * 32


class End:
    """One pod's hints, and what it heard."""

    def __init__(self, settings: HintSettings, seed: int) -> None:
        self.heard: list[tuple[str, int]] = []
        self.hints = Hints(
            settings,
            lambda prefix, head: self.heard.append((prefix, head)),
            clock=SystemClock(),
            rng=random.Random(seed),
        )
        self.port = settings.port


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings(port: int, *peers: int, keys: Path, host: str = "127.0.0.1") -> HintSettings:
    names = [f"127.0.0.1:{peer}" for peer in peers]
    return HintSettings(host=host, port=port, peers=names, keys=[keys], peers_seconds=0.1)


@contextlib.asynccontextmanager
async def running(*ends: End) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(end.hints.run()) for end in ends]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def key_file(folder: Path, *keys: tuple[int, bytes]) -> Path:
    file = folder / "hints.keys"
    file.write_text(format_keys(keys))
    return file


async def test_commits_are_told_and_those_of_a_moment_share_a_datagram(tmp_path: Path) -> None:
    keys = key_file(tmp_path, (0, KEY))
    first, second = free_port(), free_port()
    one, two = End(settings(first, second, keys=keys), 1), End(settings(second, first, keys=keys), 2)
    async with running(one, two):
        await until(lambda: one.hints.peers == two.hints.peers == 1)
        for head in range(1, 50):
            one.hints.tell("accounts/x/a/0/", head)
        one.hints.tell("accounts/x/b/0/", 3)
        await until(lambda: len(two.heard) >= 2)
        assert two.heard == [("accounts/x/a/0/", 49), ("accounts/x/b/0/", 3)]
        assert one.heard == []


async def test_a_pod_that_nobody_names_makes_itself_known(tmp_path: Path) -> None:
    """A new pod knows the old ones; they resolve the name that has it only later."""
    keys = key_file(tmp_path, (0, KEY))
    first, second = free_port(), free_port()
    old, new = End(settings(first, keys=keys), 1), End(settings(second, first, keys=keys), 2)
    async with running(old, new):
        await until(lambda: old.hints.peers == 1)
        old.hints.tell("accounts/x/a/0/", 5)
        await until(lambda: new.heard == [("accounts/x/a/0/", 5)])


async def test_a_pod_that_went_is_forgotten(tmp_path: Path) -> None:
    keys = key_file(tmp_path, (0, KEY))
    first, second = free_port(), free_port()
    old, new = End(settings(first, keys=keys), 1), End(settings(second, first, keys=keys), 2)
    async with running(old):
        async with running(new):
            await until(lambda: old.hints.peers == 1)
        await until(lambda: old.hints.peers == 0)


async def test_forged_and_unsigned_ones_are_not_heard(tmp_path: Path) -> None:
    keys = key_file(tmp_path, (0, KEY))
    end = End(settings(free_port(), keys=keys), 1)
    async with running(end):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:

            def send() -> bool:
                """Until its keys are read it hears nobody."""
                for head, key in ((1, NEXT), (2, KEY)):
                    for data in (b"", b"MH1", *encode(b"stranger", [Hint("accounts/x/a/0/", head)], key)):
                        stranger.sendto(data, ("127.0.0.1", end.port))
                return bool(end.heard)

            await until(send)
    assert set(end.heard) == {("accounts/x/a/0/", 2)}, "only that of the key which is ours"


async def test_both_keys_are_valid_during_a_rotation(tmp_path: Path) -> None:
    """One pod's Secret is newer than the other's: each still hears the other."""
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    now = int(SystemClock().now())
    first, second = free_port(), free_port()
    one = End(settings(first, second, keys=key_file(tmp_path / "old", (0, KEY))), 1)
    two = End(settings(second, first, keys=key_file(tmp_path / "new", (0, KEY), (now, NEXT))), 2)
    async with running(one, two):
        await until(lambda: one.hints.peers == two.hints.peers == 1)
        one.hints.tell("a", 1)
        two.hints.tell("b", 2)
        await until(lambda: one.heard == [("b", 2)] and two.heard == [("a", 1)])


async def test_keys_that_come_later_are_taken_up(tmp_path: Path) -> None:
    """As a kubelet mounts them: KEYS/07/hints.keys."""
    (tmp_path / "07").mkdir()
    first, second = free_port(), free_port()
    one, two = End(settings(first, second, keys=tmp_path), 1), End(settings(second, first, keys=tmp_path), 2)
    async with running(one, two):
        one.hints.tell("a", 1)
        key_file(tmp_path / "07", (0, KEY))

        def told() -> bool:
            one.hints.tell("a", 2)
            return bool(two.heard)

        await until(told)
        assert two.heard[0] == ("a", 2)


async def test_all_addresses_of_both_families(tmp_path: Path) -> None:
    keys = key_file(tmp_path, (0, KEY))
    first, second = free_port(), free_port()
    one = End(settings(first, second, keys=keys, host=""), 1)
    two = End(settings(second, first, keys=keys), 2)
    async with running(one, two):
        await until(lambda: one.hints.peers >= 1 and two.hints.peers == 1)
        one.hints.tell("a", 1)
        two.hints.tell("b", 2)
        await until(lambda: bool(one.heard and two.heard))
