"""DELETE (RFC 3501 §6.3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.imap.places import opened

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import MailboxArgs


async def run(session: Session, args: MailboxArgs) -> None:
    """Inferiors stay. Who deletes the mailbox that is selected has none selected afterwards.

    Raises NoSuchMailbox, HasChildren for a \\Noselect name that only its inferiors imply, CannotDo for INBOX,
    NoPermission, Unavailable.
    """
    async with opened(session, args.mailbox) as place:
        if not place.own:
            place.mailbox("x")
        await place.account.delete(place.name, guard=place.guard("x"))
    if session.selected is not None and session.selected.mailbox.deleted:
        session.selected = None
