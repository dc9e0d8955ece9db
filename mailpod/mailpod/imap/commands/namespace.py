"""NAMESPACE (RFC 2342): one's own, and what others share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.imap.places import OTHERS

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import NoArgs


async def run(session: Session, _args: NoArgs) -> None:
    session.send(b'* NAMESPACE (("" "/")) (("%b/" "/")) NIL\r\n' % OTHERS.encode("ascii"))
