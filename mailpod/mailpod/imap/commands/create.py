"""CREATE (RFC 3501 §6.3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.imap.names import check_new

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import MailboxArgs


async def run(session: Session, args: MailboxArgs) -> None:
    """Missing superiors are made too. `foo/` makes foo. Raises CannotDo, MailboxExists, LimitReached, Unavailable."""
    check_new(args.mailbox)
    await session.account.create(args.mailbox)
