"""ID (RFC 2971). What the client says of itself is not kept."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from mailpod.imap import wire

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import IdArgs

_ANSWER: Final = b'* ID ("name" "Mailpod" "version" %b)\r\n' % wire.string(version("mailpod").encode())


async def run(session: Session, _args: IdArgs) -> None:
    session.send(_ANSWER)
