"""A pod whose settings are not yet those that it was made for: a kubelet may be behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.mailpod.store.faults import FakeClock

from mailpod.config import EXPECTED, digest
from mailpod.expected import WAIT_SECONDS, Expected

OLD, NEW = b'{"hostname": "old.example"}', b'{"hostname": "new.example"}'


class Clock(FakeClock):
    """`then` is called at a moment of its time."""

    def __init__(self, moment: float = 1e9, then: Callable[[], object] = lambda: None) -> None:
        super().__init__(0.0)
        self._moment, self._then = moment, then

    async def sleep(self, seconds: float) -> None:
        before = self.time
        await super().sleep(seconds)
        if before < self._moment <= self.time:
            self._then()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pod.json"
    path.write_bytes(OLD)
    return path


async def test_settings_as_expected_or_of_which_nothing_is_said_are_taken_at_once(file: Path) -> None:
    clock = Clock()

    assert await Expected(file, digest(OLD)).wait(clock)
    assert await Expected(file, "").wait(clock)
    assert await Expected(file.with_name("missing"), digest(OLD)).wait(clock)
    assert clock.time == 0


async def test_the_environment_says_what_is_expected(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EXPECTED, digest(NEW))
    assert not Expected(file).met()
    monkeypatch.delenv(EXPECTED)
    assert Expected(file).met()


async def test_older_ones_are_waited_out(file: Path) -> None:
    clock = Clock(7, lambda: file.write_bytes(NEW))

    assert await Expected(file, digest(NEW)).wait(clock)
    assert 7 <= clock.time < WAIT_SECONDS


async def test_others_are_used_after_a_while_and_the_pod_ends_when_the_right_ones_come(file: Path) -> None:
    expected, clock = Expected(file, digest(NEW)), Clock(90, lambda: file.write_bytes(NEW))

    assert not await expected.wait(clock)
    assert WAIT_SECONDS <= clock.time < 2 * WAIT_SECONDS
    ended: list[float] = []
    await expected.end_when_met(clock, lambda: ended.append(clock.time))
    assert 90 <= ended[0] < 100
