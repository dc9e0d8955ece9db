"""Reads messages for RETR, ahead of a client that asks for one after the other.

- What is read ahead is counted in the pod's budget from before it is read until it was handed over or dropped.
- A message that another session expunged is Expunged, and the others are not touched by that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from mailpod.errors import Damaged, Expunged
from mailpod.net.budget import Budget
from mailpod.pop3.maildrop import Maildrop
from mailpod.store import Account, Location


class Reader:
    """One per session. `read` in any order; `drop` at the end."""

    __slots__ = ("_account", "_ahead", "_bodies", "_budget", "_drop", "_held", "_last", "_limit")

    def __init__(self, account: Account, maildrop: Maildrop, budget: Budget, limit: int) -> None:
        """`limit`: octets that are read ahead, at most."""
        self._account = account
        self._drop = maildrop
        self._budget = budget
        self._limit = limit
        self._last = -2
        self._ahead: list[int] = []  # positions still to come out of _bodies, the next one last
        self._bodies: AsyncIterator[bytes] | None = None
        self._held = 0

    async def read(self, position: int) -> bytes:
        """A whole message; call `sent` when it is out. Raises Expunged, Damaged, Unavailable."""
        if not self.has(position):
            await self._begin(self._wanted(position))
        self._last = position
        if self._bodies is None:
            raise Expunged
        self._ahead.pop()
        try:
            return await anext(self._bodies)
        except BaseException:
            self.drop()
            raise

    def has(self, position: int) -> bool:
        """Whether the message is read ahead."""
        return bool(self._ahead) and self._ahead[-1] == position

    def sent(self) -> None:
        """The client took the last message."""
        if not self._ahead:
            self.drop()

    @property
    def holding(self) -> bool:
        """Whether something is read ahead or not yet sent."""
        return self._held > 0

    def drop(self) -> None:
        """Forget what was read ahead."""
        self._ahead, self._bodies = [], None
        held, self._held = self._held, 0
        self._budget.give(held)

    def _wanted(self, position: int) -> list[int]:
        """This message; and the next ones, if the client asked for the one before it."""
        wanted, octets = [position], self._drop.size(position)
        if position != self._last + 1:
            return wanted
        for at in range(position + 1, self._drop.count):
            octets += self._drop.size(at)
            if octets > self._limit:
                break
            if at not in self._drop.deleted:
                wanted.append(at)
        return wanted

    async def _begin(self, wanted: Sequence[int]) -> None:
        self.drop()
        found = await self._locations(wanted)
        places = [(at, found[uid]) for at in wanted if (uid := self._drop.uid(at)) in found]
        if not places or places[0][0] != wanted[0]:
            return
        octets = sum(place.length for _, place in places)
        await self._budget.take(octets)
        self._held = octets
        self._ahead = [at for at, _ in reversed(places)]
        self._bodies = self._account.bodies([place for _, place in places])

    async def _locations(self, wanted: Sequence[int]) -> dict[int, Location]:
        """Raises Damaged where the index of the first is damaged; of the others it is not asked for yet."""
        uids = [self._drop.uid(at) for at in wanted]
        damaged: list[int] = []
        pages = self._drop.mailbox.pages(uids, damaged=damaged, scanned=False)
        found = {at.uid: at async for page, rows in pages for at in page.locations(rows)}
        if uids[0] in damaged:
            raise Damaged
        return found
