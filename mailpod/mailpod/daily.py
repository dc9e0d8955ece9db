"""Daily reports to other domains: counts into the bucket every hour, and out of it a day's reports, once, by some pod.

- A day is reported some hours after its end: the hour that pods write late, and then a time that differs from pod to
  pod (RFC 8460 §5.5 asks for a delay at random).
- A report is a courtesy: what cannot be sent is given up with a log line, and never holds up mail.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import msgspec

from mailpod import logs
from mailpod.clock import Clock
from mailpod.errors import MailError
from mailpod.store.daycounts import Day, DayCounts

_EARLIEST, _LATEST = 2 * 3600.0, 6 * 3600.0  # after a day's end
_KEPT: Final = timedelta(days=7)  # then a day is dropped, reported or not


@dataclass(frozen=True, slots=True)
class Sender:
    """Who reports: the domain whose server it is, and its address."""

    domain: str
    contact: str


SendMail = Callable[[Sender, str, bytes], Awaitable[None]]
"""From whom, to which address, the message. Raises MailError."""
FindSender = Callable[[], Awaitable[Sender | None]]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Whether and how often (in seconds) is written what was counted, and where to."""

    enabled: bool
    seconds: float
    store: Callable[[], DayCounts]
    clock: Clock
    rng: random.Random


class Daily(ABC):
    """One per pod and kind of report."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._delay = schedule.rng.uniform(_EARLIEST, _LATEST)

    @abstractmethod
    def take(self) -> list[Any]:
        """What was counted since the last time; counting begins anew."""

    @abstractmethod
    def give_back(self, counted: list[Any]) -> None:
        """What was taken and could not be kept."""

    @abstractmethod
    async def send_day(self, day: str, counts: list[bytes]) -> None:
        """Report a day (`YYYY-MM-DD`, UTC) out of what all pods wrote. Raises nothing for a report that fails."""

    async def run(self) -> None:
        """For ever, where reports are wanted."""
        while self._schedule.enabled:
            await self._schedule.clock.sleep(self._schedule.seconds * self._schedule.rng.uniform(0.75, 1.25))
            try:
                await self.flush()
                await self.report_due()
            except MailError as error:
                logs.event("reports.postponed", level="warning", kind=type(self).__name__, reason=error.text)

    async def flush(self) -> None:
        """Write what was counted since the last time. Raises Unavailable, and keeps it then."""
        taken = self.take()
        if taken:
            try:
                await self._schedule.store().add(self._today().isoformat(), msgspec.json.encode(taken))
            except MailError:
                self.give_back(taken)
                raise

    async def report_due(self) -> None:
        """Report the days that are over and that nobody reports. Raises Unavailable."""
        store, now = self._schedule.store(), self._schedule.clock.now()
        for name, day in (await store.days()).items():
            begin = began(name)
            if begin is None or now - begin < 86400 + self._delay:
                continue
            if date.fromisoformat(name) + _KEPT < self._today():
                await store.forget(day)
            elif day.counts and await store.claim(name, day):
                await self._report(store, name, day)

    async def _report(self, store: DayCounts, name: str, day: Day) -> None:
        await self.send_day(name, await store.counts(day))
        await store.reported(day)

    def _today(self) -> date:
        return datetime.fromtimestamp(self._schedule.clock.now(), UTC).date()


def began(day: str) -> float | None:
    """The first second of a day, Unix time; None for what is no day."""
    try:
        return datetime.combine(date.fromisoformat(day), time(), UTC).timestamp()
    except ValueError:
        return None
