"""MOVE and UID MOVE (RFC 6851).

Invariant: one commit: no instant at which a message is in both mailboxes, or in none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.imap import junk
from mailpod.imap.commands.copy import chosen, copyuid
from mailpod.imap.commands.expunge import highest_modseq
from mailpod.imap.reply import Done

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import CopyArgs


async def run(session: Session, args: CopyArgs) -> Done | None:
    """Raises CannotDo after EXAMINE, TryCreate, OverQuota, and Expunged as COPY does."""
    view = session.view
    view.check_writable()
    uids = chosen(session, args)
    if not uids:
        return Done(None, b"No messages to move")
    moved = await session.account.move(view.mailbox, uids, args.mailbox)
    if not moved.source:
        return Done(None, b"No messages moved")
    if session.notified is not None:
        session.notified.made(args.mailbox, moved.target)
    junk.moved(session, view.mailbox, args.mailbox, moved)
    # RFC 6851 §4.3: COPYUID in an untagged OK, before the EXPUNGEs
    session.send(b"* OK [%b] Moved\r\n" % copyuid(moved))
    session.send(view.poll(allow_expunge=True))
    return Done(highest_modseq(view), b"Done")
