"""MOVE and UID MOVE (RFC 6851).

Invariant: one commit: no instant at which a message is in both mailboxes, or in none. Between accounts there are two
logs: a message is committed to the other first, and never in none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mailpod.imap import junk
from mailpod.imap.commands.copy import carry, chosen, copyuid, is_within
from mailpod.imap.commands.expunge import highest_modseq, tell_expunged
from mailpod.imap.messagelimit import newest_uids
from mailpod.imap.places import opened
from mailpod.imap.reply import Done
from mailpod.store.rights import every

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import CopyArgs

_NEEDED: Final = "te"  # RFC 6851 §4.2: of STORE, which would be of \\Deleted, and EXPUNGE


async def run(session: Session, args: CopyArgs) -> Done | None:
    """Raises CannotDo after EXAMINE, TryCreate, NoPermission, OverQuota, and Expunged as COPY does."""
    view = session.view
    view.check_writable(_NEEDED)
    uids, limited = newest_uids(session, chosen(session, args))
    if not uids:
        return Done(None, b"No messages to move")
    async with opened(session, args.mailbox) as place:
        if is_within(view, place):
            guard = every(view.guard(_NEEDED), place.guard("i"))
            moved = await view.account.move(view.mailbox, uids, place.name, guard=guard)
        else:
            moved = await carry(session, uids, place)
            session.services.quota.grown(place.account, place.owner)
            await view.account.expunge(view.mailbox, moved.source, guard=view.guard(_NEEDED))
        if session.notified is not None:
            session.notified.made(place.shown, moved.target)
        if moved.source and view.access.who is None and place.own:
            junk.moved(session, view.mailbox, args.mailbox, moved)
        tells_uids = place.tells_uids
    session.limited = limited
    if not moved.source:
        return Done(None, b"No messages moved")
    # RFC 6851 §4.3: COPYUID in an untagged OK, before the EXPUNGEs
    if tells_uids:
        session.send(b"* OK [%b] Moved\r\n" % copyuid(moved))
    tell_expunged(session, view)
    return Done(highest_modseq(view), b"Done")
