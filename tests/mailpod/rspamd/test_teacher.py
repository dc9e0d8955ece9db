"""Lessons for rspamd, of a controller that answers as it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from tests.mailpod.imap.selected import Desk, desk, letter
from tests.mailpod.store.faults import FakeClock

from mailpod import metrics
from mailpod.rspamd.client import Rspamd
from mailpod.rspamd.settings import RspamdSettings
from mailpod.rspamd.teacher import Teacher

KNOWN = 404, b'{"error":"<1@b> has been already learned as spam, ignore it"}'
FINE = 200, b'{"success":true}'
BUSY = 500, b'{"error":"the classifier is away"}'


class Controller:
    """`answers` in turn, the last one for ever; `taught` are paths and messages."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.answers = list(answers)
        self.taught: list[tuple[str, bytes]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.taught.append((request.path, await request.read()))
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status, body=body)


class Lesson:
    """A teacher, an account to read from, and the counters' growth."""

    def __init__(self, teacher: Teacher, at: Desk, clock: FakeClock) -> None:
        self.teacher, self.at, self.clock = teacher, at, clock
        self._before = self._counts()

    def learn(self, *uids: int, spam: bool = True, mailbox: str = "INBOX") -> None:
        self.teacher.learn(self.at.ref, mailbox, uids, spam=spam)

    def counted(self) -> dict[str, float]:
        return {name: now - self._before[name] for name, now in self._counts().items() if now != self._before[name]}

    def _counts(self) -> dict[str, float]:
        return {
            f"{kind} {outcome}": metrics.LEARNED.labels(kind, outcome)._value.get()
            for kind in ("spam", "ham")
            for outcome in ("learned", "failed", "gone", "dropped")
        }


@asynccontextmanager
async def teaching(controller: Controller, **settings: object) -> AsyncIterator[Lesson]:
    app = web.Application(client_max_size=2**20)
    app.router.add_post("/{path}", controller.handle)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    chosen = RspamdSettings.model_validate({"learn_url": url, **settings})
    clock, rspamd = FakeClock(), Rspamd(chosen)
    try:
        async with desk() as at:
            await at.deliver(letter("a"), letter("b"), letter("c"))
            teacher = Teacher(chosen, rspamd, at.store, clock)
            yield Lesson(teacher, at, clock)
            await teacher.close()
    finally:
        await rspamd.close()
        await runner.cleanup()


async def test_each_message_as_it_is_stored() -> None:
    controller = Controller(FINE, KNOWN, FINE)
    async with teaching(controller) as lesson:
        lesson.learn(1, 2)
        lesson.learn(3, spam=False)
        await lesson.teacher.idle()
        assert controller.taught == [
            ("/learnspam", letter("a")),
            ("/learnspam", letter("b")),
            ("/learnham", letter("c")),
        ]
        assert lesson.counted() == {"spam learned": 2, "ham learned": 1}


async def test_a_controller_that_is_busy_is_asked_a_few_times() -> None:
    controller = Controller(BUSY, BUSY, FINE)
    async with teaching(controller, learn_retry_seconds=60) as lesson:
        began = lesson.clock.time
        lesson.learn(1)
        await lesson.teacher.idle()
        assert lesson.clock.time - began == 60 + 120
        assert len(controller.taught) == 3 and lesson.counted() == {"spam learned": 1}


@pytest.mark.parametrize("answer", [BUSY, (404, b"Not found"), (403, b'{"error":"Unauthorized"}')])
async def test_and_then_no_more(answer: tuple[int, bytes]) -> None:
    controller = Controller(answer)
    async with teaching(controller, learn_tries=2) as lesson:
        lesson.learn(1, 2)
        await lesson.teacher.idle()
        assert len(controller.taught) == 4 and lesson.counted() == {"spam failed": 2}


async def test_what_is_gone_or_too_large_is_not_taught() -> None:
    controller = Controller(FINE)
    async with teaching(controller, max_bytes=len(letter("a"))) as lesson:
        await lesson.at.deliver(letter("larger"))
        lesson.learn(4, 9)
        lesson.learn(1, mailbox="Nowhere")
        await lesson.teacher.idle()
        assert controller.taught == [] and lesson.counted() == {"spam gone": 3}


async def test_only_so_many_wait() -> None:
    controller = Controller(FINE)
    async with teaching(controller, learn_waiting=2) as lesson:
        lesson.learn(1, 2, 3)
        await lesson.teacher.idle()
        assert len(controller.taught) == 2 and lesson.counted() == {"spam learned": 2, "spam dropped": 1}


async def test_without_a_controller_nothing_waits() -> None:
    controller = Controller(FINE)
    async with teaching(controller, learn_url=None) as lesson:
        lesson.learn(1)
        await lesson.teacher.idle()
        assert controller.taught == [] and lesson.counted() == {}
