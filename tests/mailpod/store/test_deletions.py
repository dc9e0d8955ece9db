"""Deletions that come while one is under way are one request, and each caller is told of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from mailpod.errors import Unavailable
from mailpod.store.deletions import Deletions
from mailpod.store.objects import StorageError


class Slow:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.answers: list[asyncio.Future[None]] = []

    async def delete(self, keys: Sequence[str]) -> None:
        self.asked.append(list(keys))
        self.answers.append(asyncio.get_running_loop().create_future())
        await self.answers[-1]


async def begun(deletions: Deletions, *keys: str) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(deletions.delete(key)) for key in keys]
    await asyncio.sleep(0)
    return tasks


async def test_what_comes_meanwhile_is_one_request() -> None:
    bucket = Slow()
    deletions = Deletions(cast(Any, bucket))
    (first,) = await begun(deletions, "a")
    others = await begun(deletions, "b", "c")
    assert bucket.asked == [["a"]]
    bucket.answers[0].set_result(None)
    await first
    await asyncio.sleep(0)
    assert bucket.asked == [["a"], ["b", "c"]]
    assert not any(task.done() for task in others)
    bucket.answers[1].set_result(None)
    await asyncio.gather(*others)


async def test_all_of_a_request_that_fails_are_told() -> None:
    bucket = Slow()
    deletions = Deletions(cast(Any, bucket))
    (first,) = await begun(deletions, "a")
    others = await begun(deletions, "b", "c")
    bucket.answers[0].set_exception(StorageError("down"))
    with pytest.raises(Unavailable):
        await first
    await asyncio.sleep(0)
    bucket.answers[1].set_exception(StorageError("down"))
    told = await asyncio.gather(*others, return_exceptions=True)
    assert [type(error) for error in told] == [Unavailable, Unavailable]
    (again,) = await begun(deletions, "b")
    bucket.answers[2].set_result(None)
    await again


async def test_who_is_cancelled_leaves_the_others_to_try_again() -> None:
    bucket = Slow()
    deletions = Deletions(cast(Any, bucket))
    (first,) = await begun(deletions, "a")
    sender, other = await begun(deletions, "b", "c")
    bucket.answers[0].set_result(None)
    await first
    await asyncio.sleep(0)
    sender.cancel()
    with pytest.raises(Unavailable):
        await other
    assert sender.cancelled()
    (again,) = await begun(deletions, "c")
    bucket.answers[2].set_result(None)
    await again
