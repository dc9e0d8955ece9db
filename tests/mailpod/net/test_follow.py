from __future__ import annotations

import asyncio

from tests.mailpod.support import until

from mailpod.errors import Unavailable
from mailpod.net.follow import Followers


class Account:
    def __init__(self, fails: bool = False) -> None:
        self.looks = 0
        self.fails = fails
        self.prefix = f"accounts/x/{id(self)}/0/"
        self.head = 0
        self.there = 0

    async def refresh(self) -> None:
        self.looks += 1
        if self.fails:
            raise Unavailable
        await asyncio.sleep(0)
        self.head = self.there


async def test_one_look_an_account_until_nobody_watches() -> None:
    followers, account = Followers(), Account()
    ends = [followers.follow(account, 0.02) for _ in range(10)]
    await asyncio.sleep(0.15)
    assert 2 <= account.looks <= 8
    assert len(followers) == 1
    for end in ends:
        end()
    assert len(followers) == 0
    for _ in range(5):  # a look that was begun goes on
        await asyncio.sleep(0)
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


async def test_a_hint_brings_the_look_forward() -> None:
    followers, account = Followers(), Account()
    end = followers.follow(account, 3600)
    account.there = 7
    followers.hint(account.prefix, 7)
    await until(lambda: account.head == 7)
    assert account.looks == 1
    followers.hint(account.prefix, 7)
    followers.hint("accounts/x/another/0/", 9)
    await asyncio.sleep(0.02)
    assert account.looks == 1, "nothing is looked at for what is known, or not watched"
    end()
    followers.hint(account.prefix, 8)
    await asyncio.sleep(0.02)
    assert account.looks == 1


async def test_many_hints_are_few_looks_and_a_false_one_is_one() -> None:
    followers, account = Followers(), Account()
    end = followers.follow(account, 3600)
    account.there = 50
    for head in range(1, 51):
        followers.hint(account.prefix, head)
    await until(lambda: account.head == 50)
    assert account.looks == 1
    followers.hint(account.prefix, 1000)
    await asyncio.sleep(0.05)
    assert account.looks == 2
    account.fails = True
    followers.hint(account.prefix, 2000)
    await asyncio.sleep(0.05)
    account.fails, account.there = False, 3000
    followers.hint(account.prefix, 3000)
    await until(lambda: account.head == 3000)
    end()
