"""NOOP (RFC 3501 §6.1.2): where a client asks what is new, so the answer is no older than the question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.imap.states import State

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import NoArgs


async def run(session: Session, _args: NoArgs) -> None:
    """The responses come with the poll that follows every command. Raises Unavailable."""
    if session.state is not State.NOT_AUTHENTICATED:
        await session.watched.refresh()
