"""CREATE (RFC 3501 §6.3.3), with MAILBOXID (RFC 8474 §4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.imap.names import check_new
from mailpod.imap.reply import Done

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import MailboxArgs


async def run(session: Session, args: MailboxArgs) -> Done:
    """Missing superiors are made too. `foo/` makes foo. Raises CannotDo, MailboxExists, LimitReached, Unavailable."""
    check_new(args.mailbox)
    made = await session.account.create(args.mailbox)
    return Done(b"MAILBOXID (%b)" % made.object_id.encode("ascii"))
