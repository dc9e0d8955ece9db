"""What users put into Junk, and take out of it, taught to rspamd by its controller.

- Best effort: no command waits for it, and what cannot be taught in a few tries is forgotten.
- Bounded: so many lessons wait, one is taught at a time, and a message is read when its turn comes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from mailpod import logs, metrics
from mailpod.clock import Clock
from mailpod.errors import MailError
from mailpod.rspamd.client import Rspamd
from mailpod.rspamd.settings import RspamdSettings

if TYPE_CHECKING:
    from mailpod.store import AccountRef, Store

Outcome: TypeAlias = Literal["learned", "failed", "gone", "dropped"]


@dataclass(frozen=True, slots=True)
class Lesson:
    """A message, where it is now, and what its owner says that it is."""

    account: AccountRef
    mailbox: str
    uid: int
    spam: bool


class Teacher:
    """One a pod. Its task is there only while something waits."""

    def __init__(self, settings: RspamdSettings, rspamd: Rspamd, store: Store, clock: Clock) -> None:
        self._settings, self._rspamd, self._store, self._clock = settings, rspamd, store, clock
        self._waiting: deque[Lesson] = deque()
        self._task: asyncio.Task[None] | None = None

    def learn(self, account: AccountRef, mailbox: str, uids: Iterable[int], *, spam: bool) -> None:
        """Teach these messages later. Raises nothing, and does nothing where no controller is named."""
        if self._settings.learn_url is None:
            return
        for uid in uids:
            if len(self._waiting) < self._settings.learn_waiting:
                self._waiting.append(Lesson(account, mailbox, uid, spam))
            else:
                _count("dropped", spam)
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._teach_all())

    async def idle(self) -> None:
        """Until nothing waits."""
        while self._task is not None and not self._task.done():
            await asyncio.shield(self._task)

    async def close(self) -> None:
        """What still waits is forgotten."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _teach_all(self) -> None:
        while self._waiting:
            lesson = self._waiting.popleft()
            try:
                _count(await self._teach(lesson), lesson.spam)
            except Exception as error:  # one message that cannot be taught does not keep the others from it
                logs.crash("rspamd.lesson_crashed", error)

    async def _teach(self, lesson: Lesson) -> Outcome:
        wait = self._settings.learn_retry_seconds
        for tries_left in reversed(range(self._settings.learn_tries)):
            try:
                content = await self._read(lesson)
                if content is None:
                    return "gone"
                if await self._rspamd.learn(content, spam=lesson.spam):
                    return "learned"
            except MailError as error:
                logs.event("rspamd.unread", level="warning", reason=error.text)
            if tries_left:
                await self._clock.sleep(wait)
                wait *= 2
        return "failed"

    async def _read(self, lesson: Lesson) -> bytes | None:
        """None for what is no longer there, or is larger than what rspamd is shown. Raises MailError."""
        account = await self._store.open(lesson.account)
        try:
            mailbox = account.mailboxes.get(lesson.mailbox)
            if mailbox is None:
                return None
            async for page, rows in mailbox.pages([lesson.uid], scanned=False):
                location = page.location(rows[0])
                return await account.body(location) if location.length <= self._settings.max_bytes else None
            return None
        finally:
            account.release()


def _count(outcome: Outcome, spam: bool) -> None:
    metrics.LEARNED.labels("spam" if spam else "ham", outcome).inc()
