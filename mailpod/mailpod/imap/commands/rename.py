"""RENAME (RFC 3501 §6.3.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.errors import CannotDo
from mailpod.imap.names import DELIMITER, check_new

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import RenameArgs


async def run(session: Session, args: RenameArgs) -> None:
    """Inferiors move along; INBOX gives its messages and stays. Raises NoSuchMailbox, MailboxExists, CannotDo."""
    check_new(args.new)
    if args.old != "INBOX" and args.new.startswith(args.old + DELIMITER):
        raise CannotDo("A mailbox cannot be moved below itself")
    await session.account.rename(args.old, args.new)
