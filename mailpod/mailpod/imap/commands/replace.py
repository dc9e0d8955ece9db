"""REPLACE and UID REPLACE (RFC 8508): APPEND of a new message and EXPUNGE of an old one.

Invariant: one commit: no instant at which both are there, or neither; after a NO the old one is there, as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.errors import CannotDo, Expunged
from mailpod.imap.commands.append import new_message
from mailpod.imap.commands.copy import limits
from mailpod.imap.commands.expunge import highest_modseq
from mailpod.imap.reply import Done
from mailpod.imap.sequence import resolve, uids_of
from mailpod.imap.syntax import SequenceSet

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import ReplaceArgs


async def run(session: Session, args: ReplaceArgs) -> Done:
    """Raises CannotDo after EXAMINE and for an empty message, Expunged, TryCreate, OverQuota."""
    view = session.view
    view.check_writable()
    if not args.message.data:
        raise CannotDo("A message cannot be empty")
    uids = uids_of(view, resolve(SequenceSet(((args.number, args.number),)), view, args.uid))
    if not uids:
        raise Expunged  # a UID that is not there (any more): RFC 8508 §3.3, nothing is appended then
    message = new_message(session, args.message)
    added = await session.account.replace(view.mailbox, uids[0], args.mailbox, message, limits=limits(session))
    if session.notified is not None:
        session.notified.made(args.mailbox, added.uids)
    # RFC 8508 §3.3: APPENDUID in an untagged OK, before the EXPUNGE
    session.send(b"* OK [APPENDUID %d %d] Replacement message ready\r\n" % (added.uidvalidity, added.uids[0]))
    session.send(view.poll(allow_expunge=True))
    return Done(highest_modseq(view), b"Replaced")
