"""Accounts that somebody watches (IMAP IDLE) are looked at again and again, so that what other pods commit is seen.

Invariants: one look an account, however many sessions watch it; one task for all accounts, and none when nobody
watches. A look that fails is tried again at the next turn: the session does not end because the bucket is away. A hint
(net/hints.py) only brings a look forward; at most one that was asked for by hints is under way an account.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from mailpod import logs
from mailpod.errors import MailError

_PARALLEL: Final = 16
_TURN: Final = 1.0  # seconds between two looks at what is due


class Followed(Protocol):
    """What is needed of an account."""

    @property
    def prefix(self) -> str: ...
    @property
    def head(self) -> int: ...
    async def refresh(self) -> None: ...


@dataclass(slots=True)
class _Entry:
    watchers: int
    seconds: float
    due: float
    hinted: int = 0  # the newest commit that a hint named
    looking: asyncio.Task[None] | None = None


class Followers:
    """Who is watched in this pod."""

    def __init__(self) -> None:
        self._entries: dict[Followed, _Entry] = {}
        self._by_prefix: dict[str, Followed] = {}
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def follow(self, account: Followed, seconds: float) -> Callable[[], None]:
        """Refresh `account` every `seconds` until the returned function is called (once)."""
        loop = asyncio.get_running_loop()
        entry = self._entries.setdefault(account, _Entry(0, seconds, loop.time() + seconds))
        entry.watchers += 1
        self._by_prefix[account.prefix] = account
        if self._task is None:
            self._task = loop.create_task(self._run())
        return lambda: self._unfollow(account, entry)

    def _unfollow(self, account: Followed, entry: _Entry) -> None:
        entry.watchers -= 1
        if not entry.watchers:
            del self._entries[account]
            if self._by_prefix.get(account.prefix) is account:
                del self._by_prefix[account.prefix]

    def hint(self, prefix: str, head: int) -> None:
        """Another pod says that commit `head` of an account is there."""
        account = self._by_prefix.get(prefix)
        if account is None or account.head >= head:
            return
        entry = self._entries[account]
        entry.hinted = max(entry.hinted, head)
        if entry.looking is None:
            entry.looking = asyncio.get_running_loop().create_task(self._look_for(account, entry))

    async def _look_for(self, account: Followed, entry: _Entry) -> None:
        """Look until what was hinted at is seen, or is not there: the hint may be of a state that was never to be."""
        try:
            while (wanted := entry.hinted) > account.head:
                await account.refresh()
                if account.head < wanted and entry.hinted == wanted:
                    return
        except MailError:
            return  # the next turn looks again
        except Exception as error:
            logs.crash("follow.crashed", error)
        finally:
            entry.looking = None
            entry.hinted = 0

    async def _run(self) -> None:
        try:
            while self._entries:
                await asyncio.sleep(min(_TURN, *(entry.seconds for entry in self._entries.values())))
                await self._look()
        finally:
            self._task = None

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        due = [account for account, entry in self._entries.items() if entry.due <= now]
        for account in due:
            self._entries[account].due = now + self._entries[account].seconds
        await asyncio.gather(*(self._refresh_all(due) for _ in range(min(_PARALLEL, len(due)))))

    async def _refresh_all(self, due: list[Followed]) -> None:
        while due:
            try:
                await due.pop().refresh()
            except MailError:
                continue
            except Exception as error:
                logs.crash("follow.crashed", error)
