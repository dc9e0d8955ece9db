"""ENABLE (RFC 5161 §3.1): what is not known is passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import EnableArgs


async def run(session: Session, args: EnableArgs) -> None:
    known = [name.encode("ascii") for name in dict.fromkeys(args.names) if session.enabled.enable(name)]
    session.send(b" ".join([b"* ENABLED", *known]) + b"\r\n")
