"""CAPABILITY (RFC 3501 §6.1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.imap.capability import capabilities

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import NoArgs


async def run(session: Session, _args: NoArgs) -> None:
    session.send(b"* CAPABILITY %b\r\n" % capabilities(session))
