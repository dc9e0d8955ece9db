"""RENAME (RFC 3501 §6.3.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.errors import CannotDo
from mailpod.imap.names import DELIMITER, check_new
from mailpod.imap.places import check_free, opened
from mailpod.store.rights import every

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import RenameArgs


async def run(session: Session, args: RenameArgs) -> None:
    """Inferiors move along; INBOX gives its messages and stays.

    Raises NoSuchMailbox, MailboxExists, NoPermission, and CannotDo, also for a move into another account.
    """
    check_new(args.new)
    check_free(args.new)
    if args.old != "INBOX" and args.new.startswith(args.old + DELIMITER):
        raise CannotDo("A mailbox cannot be moved below itself")
    async with opened(session, args.old) as old, opened(session, args.new) as new:
        if not old.own:
            old.mailbox("x")
        if old.account is not new.account or (old.name == "INBOX" and not old.own):
            raise CannotDo("A mailbox cannot be moved into another account")
        await old.account.rename(old.name, new.name, guard=every(old.guard_tree("x"), new.guard_new()))
