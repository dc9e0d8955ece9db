"""UNAUTHENTICATE (RFC 8437): the connection is used again, for another user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.imap.capability import capabilities
from mailpod.imap.lexer import BadCommand
from mailpod.imap.reply import Done

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import NoArgs


async def run(session: Session, _args: NoArgs) -> Done:
    """Never a NO (RFC 8437 §3). The OK is the last that is compressed."""
    if not session.services.settings.imap.unauthenticate:
        raise BadCommand("UNAUTHENTICATE is turned off")
    session.unauthenticate()

    async def stop() -> None:
        session.stop_deflate()

    code = b"CAPABILITY %b" % capabilities(session)
    return Done(code, b"Logged out", after=stop)
