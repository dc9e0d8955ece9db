from __future__ import annotations

import asyncio

from mailpod.errors import Unavailable
from mailpod.net.follow import Followers


class Account:
    def __init__(self, fails: bool = False) -> None:
        self.looks = 0
        self.fails = fails

    async def refresh(self) -> None:
        self.looks += 1
        if self.fails:
            raise Unavailable


async def test_one_look_an_account_until_nobody_watches() -> None:
    followers, account = Followers(), Account()
    ends = [followers.follow(account, 0.02) for _ in range(10)]
    await asyncio.sleep(0.15)
    assert 2 <= account.looks <= 8
    assert len(followers) == 1
    for end in ends:
        end()
    assert len(followers) == 0
    seen = account.looks
    await asyncio.sleep(0.1)
    assert account.looks == seen


async def test_a_bucket_that_is_away_ends_nothing() -> None:
    followers, account, other = Followers(), Account(fails=True), Account()
    ends = [followers.follow(account, 0.02), followers.follow(other, 0.02)]
    await asyncio.sleep(0.15)
    assert account.looks >= 2
    assert other.looks >= 2
    for end in ends:
        end()


async def test_watched_again_after_a_pause() -> None:
    followers, account = Followers(), Account()
    followers.follow(account, 0.02)()
    await asyncio.sleep(0.06)
    end = followers.follow(account, 0.02)
    await asyncio.sleep(0.1)
    assert account.looks
    end()
