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
from itertools import chain
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from mailpod import logs
from mailpod.clock import Clock
from mailpod.dns.resolver import Resolver
from mailpod.errors import MailError
from mailpod.store.daycounts import Day, DayCounts

_EARLIEST, _LATEST = 2 * 3600.0, 6 * 3600.0  # after a day's end
_KEPT: Final = timedelta(days=7)  # then a day is dropped, reported or not
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sender:
    """Who reports: the domain whose server it is, and its address."""

    domain: str
    contact: str


SendMail = Callable[[Sender, str, bytes], Awaitable[None]]
"""From whom, to which address, the message. Raises MailError."""
FindSender = Callable[[], Awaitable[Sender | None]]


@dataclass(frozen=True, slots=True)
class Means:
    """What a reporter works with. `store` is where counts are kept."""

    store: Callable[[], DayCounts]
    resolver: Resolver
    clock: Clock
    rng: random.Random
    sender: FindSender
    send_mail: SendMail


class Tally(Protocol[T]):
    """What one pod counts."""

    def take(self) -> list[T]:
        """All of it since the last time; counting begins anew."""

    def give_back(self, counted: list[T], /) -> None:
        """What was taken and could not be kept."""


class Daily(ABC, Generic[T]):
    """One per pod and kind of report. `rows` is the type of what is counted, which is written every `seconds`."""

    def __init__(self, means: Means, tally: Tally[T], rows: type[list[T]], *, enabled: bool, seconds: float) -> None:
        self._means = means
        self._counting = tally
        self._rows = msgspec.json.Decoder(rows)
        self._enabled = enabled
        self._seconds = seconds
        self._delay = means.rng.uniform(_EARLIEST, _LATEST)

    @abstractmethod
    async def send_day(self, sender: Sender, day: str, rows: list[T]) -> None:
        """Report a day (`YYYY-MM-DD`, UTC) out of what all pods counted. Raises nothing for a report that fails."""

    async def mail(self, sender: Sender, recipient: str, message: bytes) -> str:
        """ "" or why it cannot be sent."""
        try:
            await self._means.send_mail(sender, recipient, message)
        except MailError as error:
            return error.text
        return ""

    async def run(self) -> None:
        """For ever, where reports are wanted."""
        while self._enabled:
            await self._means.clock.sleep(self._seconds * self._means.rng.uniform(0.75, 1.25))
            try:
                await self.flush()
                await self.report_due()
            except MailError as error:
                logs.event("reports.postponed", level="warning", kind=type(self).__name__, reason=error.text)

    async def flush(self) -> None:
        """Write what was counted since the last time. Raises Unavailable, and keeps it then."""
        taken = self._counting.take()
        if taken:
            try:
                await self._means.store().add(self._today().isoformat(), msgspec.json.encode(taken))
            except MailError:
                self._counting.give_back(taken)
                raise

    async def report_due(self) -> None:
        """Report the days that are over and that nobody reports. Raises Unavailable."""
        store, now = self._means.store(), self._means.clock.now()
        for name, day in (await store.days()).items():
            begin = began(name)
            if begin is None or now - begin < 86400 + self._delay:
                continue
            if date.fromisoformat(name) + _KEPT < self._today():
                await store.forget(day)
            elif day.counts and await store.claim(name, day):
                await self._report(store, name, day)

    async def _report(self, store: DayCounts, name: str, day: Day) -> None:
        counts = await store.counts(day)
        sender = await self._means.sender()
        if sender is not None:
            await self.send_day(sender, name, list(chain.from_iterable(map(self._decoded, counts))))
        await store.reported(day)

    def _decoded(self, data: bytes) -> list[T]:
        try:
            return self._rows.decode(data)
        except ValueError:  # of another version
            return []

    def _today(self) -> date:
        return datetime.fromtimestamp(self._means.clock.now(), UTC).date()


def began(day: str) -> float | None:
    """The first second of a day, Unix time; None for what is no day."""
    try:
        return datetime.combine(date.fromisoformat(day), time(), UTC).timestamp()
    except ValueError:
        return None
