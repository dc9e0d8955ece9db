"""What the operator asks before it begins, while the API server comes and goes."""

from __future__ import annotations

import asyncio

import pytest

from mailoperator.kube import ApiError
from mailoperator.run import insist


class Answers:
    """Fails with these statuses, one after the other, and then answers."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.asked = list(statuses), 0
        self.first = asyncio.Event()

    async def __call__(self) -> str:
        self.asked += 1
        self.first.set()
        if self.statuses:
            raise ApiError(self.statuses.pop(0), "", "no")
        return "here"


async def test_an_api_server_that_is_away_is_waited_for() -> None:
    answers = Answers(0, 503, 429, 500)
    assert await insist(answers, asyncio.Event(), again=0.001) == "here"
    assert answers.asked == 5


@pytest.mark.parametrize("status", [403, 404, 422])
async def test_a_refusal_is_no_outage(status: int) -> None:
    with pytest.raises(ApiError):
        await insist(Answers(status), asyncio.Event())


async def test_it_stops_when_told_to() -> None:
    stop = asyncio.Event()
    answers = Answers(*[0] * 10_000)
    task = asyncio.create_task(insist(answers, stop, again=3600.0))
    await answers.first.wait()
    stop.set()
    assert await asyncio.wait_for(task, 30) is None
