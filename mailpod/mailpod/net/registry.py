"""Who is logged in, so that an account which is removed, suspended or given a new password loses its sessions.

- The sweep takes under 5 s, the directory's cache under 5 s: together DECISIONS.md's 10 s ("Live sessions").
- It costs a look-up an address that is logged in, or, where many of a domain are, a listing of that domain.
- A directory that does not answer revokes nobody: mail flows while it is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from mailpod import logs, metrics
from mailpod.auth.identity import Identity, stamp_of
from mailpod.directory import Directory, MailboxEntry
from mailpod.errors import MailError

_PARALLEL = 16  # look-ups at once in a sweep


class Session(Protocol):
    """What the registry needs of a logged-in session."""

    def on_revoked(self) -> None: ...


class Registry:
    """The logged-in sessions of a pod, by address."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._sessions: dict[str, dict[Session, tuple[Identity, str]]] = {}
        # of others' mailboxes, with the incarnation that they are of; a session may be there more than once
        self._guests: dict[str, dict[object, tuple[Session, str]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._sessions.values()))

    def count(self, address: str) -> int:
        """How many sessions of this address are logged in at this pod."""
        return len(self._sessions.get(address, ()))

    def add(self, session: Session, identity: Identity, protocol: str = "other") -> None:
        """A session logged in. Undo with `remove`."""
        self._sessions.setdefault(identity.address, {})[session] = (identity, protocol)
        metrics.SESSIONS.labels(protocol).inc()

    def remove(self, session: Session, identity: Identity) -> None:
        """A session ended; one that is not there is no error."""
        sessions = self._sessions.get(identity.address, {})
        if session not in sessions:
            return
        _, protocol = sessions.pop(session)
        metrics.SESSIONS.labels(protocol).dec()
        if not sessions:
            del self._sessions[identity.address]

    def add_guest(self, session: Session, owner: MailboxEntry) -> Callable[[], None]:
        """A session has a mailbox of `owner` selected, or is told of theirs, and ends when that account does or is
        suspended. Returns what undoes it."""
        key = object()
        self._guests.setdefault(owner.address, {})[key] = session, owner.incarnation

        def undo() -> None:
            guests = self._guests.get(owner.address, {})
            guests.pop(key, None)
            if not guests:
                self._guests.pop(owner.address, None)

        return undo

    async def sweep(self) -> None:
        """Look every logged-in address up again, and tell the sessions whose stamp is no longer right."""
        waiting = list(self._sessions.keys() | self._guests.keys())
        await self._directory.confirm(waiting)

        async def work() -> None:
            while waiting:
                await self._check(waiting.pop())

        await asyncio.gather(*(work() for _ in range(_PARALLEL)))

    async def _check(self, address: str) -> None:
        try:
            entry = await self._directory.lookup(address)
        except MailError:
            return
        right = entry is not None and entry.address == address and not entry.suspended
        self._revoke(address, stamp_of(entry) if right and entry is not None else "")
        incarnation = entry.incarnation if right and entry is not None else None
        for session, theirs in list(self._guests.get(address, {}).values()):
            if theirs != incarnation:
                _tell(session, address, "guest")

    def _revoke(self, address: str, stamp: str) -> None:
        for session, (identity, protocol) in list(self._sessions.get(address, {}).items()):
            if identity.stamp == stamp:
                continue
            _tell(session, address, protocol)

    async def follow(self, seconds: float) -> None:
        """`sweep` every `seconds`, for ever."""
        while True:
            await asyncio.sleep(seconds)
            await self.sweep()


def _tell(session: Session, address: str, protocol: str) -> None:
    logs.event("session.revoked", user=address, protocol=protocol)
    metrics.REVOKED.labels(protocol).inc()
    try:
        session.on_revoked()
    except Exception as error:
        logs.crash("session.crashed", error, protocol=protocol)
