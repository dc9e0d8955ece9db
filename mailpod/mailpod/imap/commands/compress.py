"""COMPRESS (RFC 4978)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.errors import MailError
from mailpod.imap.lexer import BadCommand
from mailpod.imap.reply import Done

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import CompressArgs


class CompressionActive(MailError):
    """RFC 4978 §3: a second layer is refused."""

    imap = ("NO", "COMPRESSIONACTIVE")
    text = "DEFLATE is active already"


async def run(session: Session, args: CompressArgs) -> Done:
    """The OK is the last that is sent as it stands."""
    if args.algorithm != "DEFLATE":
        raise BadCommand("Only DEFLATE is known")
    if session.compressed:
        raise CompressionActive

    async def start() -> None:
        session.start_deflate()

    return Done(text=b"DEFLATE active", after=start)
