"""SUBSCRIBE (RFC 3501 §6.3.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.imap.names import check_new

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import MailboxArgs


async def run(session: Session, args: MailboxArgs) -> None:
    """The mailbox need not exist (RFC 3501 §6.3.6 leaves it to the server). Raises CannotDo, LimitReached."""
    check_new(args.mailbox)
    await session.account.subscribe(args.mailbox)
