"""STARTTLS (RFC 3501 §6.2.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.imap.capability import may_start_tls
from mailpod.imap.lexer import BadCommand
from mailpod.imap.reply import Done

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import NoArgs


async def run(session: Session, _args: NoArgs) -> Done:
    """The handshake follows the OK; what the client pipelined in the clear is dropped by start_tls."""
    if session.secure:
        raise BadCommand("TLS is active already")
    if not may_start_tls(session):
        raise BadCommand("TLS is not available")

    async def upgrade() -> None:
        await session.start_tls()

    return Done(text=b"Begin TLS negotiation now", after=upgrade)
