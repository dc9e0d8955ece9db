"""ENABLE (RFC 5161 §3.1): what is not known is passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import EnableArgs

_SPELLING: Final = {"IMAP4REV2": "IMAP4rev2"}


async def run(session: Session, args: EnableArgs) -> None:
    known = [name for name in dict.fromkeys(args.names) if session.enabled.enable(name)]
    session.names_in_utf8(session.enabled.utf8_names)
    if session.enabled.metadata:
        session.watch_annotations()
    words = (_SPELLING.get(name, name).encode("ascii") for name in known)
    session.send(b" ".join([b"* ENABLED", *words]) + b"\r\n")
