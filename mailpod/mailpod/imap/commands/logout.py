"""LOGOUT (RFC 3501 §6.1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.imap import reply
from mailpod.imap.reply import Done

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import NoArgs


async def run(session: Session, _args: NoArgs) -> Done:
    async def close() -> None:
        session.close()

    session.selected = None  # nothing is told of it after BYE
    session.send(reply.bye(b"Logging out"))
    return Done(after=close)
