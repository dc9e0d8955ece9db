"""CLOSE (RFC 3501 §6.4.2): EXPUNGE without its responses, then no mailbox is selected."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from mailpod.errors import NoPermission
from mailpod.imap.commands.expunge import deleted

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import NoArgs


async def run(session: Session, _args: NoArgs) -> None:
    """Raises Unavailable; the mailbox is selected still then."""
    view, mailbox = session.view, session.view.mailbox
    # RFC 3501 §6.4.2: nothing is removed, and it is no error, when the mailbox was opened by EXAMINE; RFC 4314 §4: nor
    # without the right
    uids = [] if session.read_only or mailbox.deleted or not view.may("e") else deleted(mailbox)
    if uids:
        with suppress(NoPermission):  # taken meanwhile
            await view.account.expunge(mailbox, uids, guard=view.guard("e"))
    session.selected = None
