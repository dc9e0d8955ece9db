"""UNSUBSCRIBE (RFC 3501 §6.3.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import MailboxArgs


async def run(session: Session, args: MailboxArgs) -> None:
    """A name that is not subscribed is no error."""
    if args.mailbox in session.account.subscriptions:
        await session.account.unsubscribe(args.mailbox)
