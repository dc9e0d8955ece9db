"""REPLACE and UID REPLACE (RFC 8508): APPEND of a new message and EXPUNGE of an old one.

Invariant: one commit: no instant at which both are there, or neither; after a NO the old one is there, as it was.
Between accounts there are two logs: the new one is committed to the other first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mailpod.errors import Expunged
from mailpod.imap.catenate import whole
from mailpod.imap.commands.append import new_message, permitted
from mailpod.imap.commands.expunge import highest_modseq, tell_expunged
from mailpod.imap.places import opened
from mailpod.imap.reply import Done
from mailpod.imap.sequence import resolve, uids_of
from mailpod.imap.syntax import SequenceSet
from mailpod.store.rights import every

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import ReplaceArgs

_NEEDED: Final = "te"  # RFC 8508 §4.1


async def run(session: Session, args: ReplaceArgs) -> Done:
    """Raises CannotDo after EXAMINE and for an empty message, Expunged, TryCreate, NoPermission, OverQuota,
    and what `whole` does."""
    view = session.view
    view.check_writable(_NEEDED)
    uids = uids_of(view, resolve(SequenceSet(((args.number, args.number),)), view, args.uid))
    if not uids:
        raise Expunged  # a UID that is not there (any more): RFC 8508 §3.4, nothing is appended then
    async with opened(session, args.mailbox) as place, whole(session, place, [args.message]) as [given]:
        message = permitted(place, new_message(session, given))
        if place.account is view.account:
            guard = every(view.guard(_NEEDED), place.guard("i"))
            added = await view.account.replace(
                view.mailbox, uids[0], place.name, message, limits=place.limits, guard=guard
            )
        else:
            added = await place.account.append(place.name, [message], limits=place.limits, guard=place.guard("i"))
            await view.account.expunge(view.mailbox, uids, guard=view.guard(_NEEDED))
        session.services.quota.grown(place.account, place.owner)
        if session.notified is not None:
            session.notified.made(place.shown, added.uids)
        if place.tells_uids:  # RFC 8508 §4.3: APPENDUID in an untagged OK, before the EXPUNGE
            session.send(b"* OK [APPENDUID %d %d] Replacement Message ready\r\n" % (added.uidvalidity, added.uids[0]))
    session.send(view.poll_new())  # RFC 8508 §3.2: EXISTS, and then EXPUNGE
    tell_expunged(session, view)
    return Done(highest_modseq(view), b"Replaced")
