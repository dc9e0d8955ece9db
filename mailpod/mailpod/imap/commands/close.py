"""CLOSE (RFC 3501 §6.4.2): EXPUNGE without its responses, then no mailbox is selected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.imap.commands.expunge import deleted

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import NoArgs


async def run(session: Session, _args: NoArgs) -> None:
    """Raises Unavailable; the mailbox is selected still then."""
    mailbox = session.view.mailbox
    # RFC 3501 §6.4.2: nothing is removed, and it is no error, when the mailbox was opened by EXAMINE
    uids = [] if session.read_only or mailbox.deleted else deleted(mailbox)
    if uids:
        await session.account.expunge(mailbox, uids)
    session.selected = None
