"""ENABLE (RFC 5161 §3.1): nothing here needs to be enabled yet, and what is not known is passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import EnableArgs


async def run(session: Session, _args: EnableArgs) -> None:
    session.send(b"* ENABLED\r\n")
