"""COPY and UID COPY (RFC 3501 §6.4.7), with COPYUID (RFC 4315 §3).

Invariant: one commit: all messages are copied, flags and internal dates with them, or none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.errors import Expunged
from mailpod.imap import junk
from mailpod.imap.reply import Done
from mailpod.imap.sequence import resolve, uids_of
from mailpod.imap.sets import wire
from mailpod.store import Limits

if TYPE_CHECKING:
    from array import array

    from mailpod.imap.session import Session
    from mailpod.imap.syntax import CopyArgs
    from mailpod.store import Copied


async def run(session: Session, args: CopyArgs) -> Done | None:
    """Raises TryCreate, OverQuota, and Expunged when messages asked for by number are gone."""
    uids = chosen(session, args)
    if not uids:
        return Done(None, b"No messages to copy")
    copied = await session.account.copy(session.view.mailbox, uids, args.mailbox, limits=limits(session))
    session.services.quota.grown(session.account, session.identity.entry)
    if not copied.source:
        return Done(None, b"No messages copied")
    if session.notified is not None:
        session.notified.made(args.mailbox, copied.target)
    junk.moved(session, session.view.mailbox, args.mailbox, copied)
    return Done(copyuid(copied), b"Copied")


def chosen(session: Session, args: CopyArgs) -> array[int]:
    """The UIDs to copy or move. RFC 3501 §6.4.7: by number it is all of them or none."""
    view = session.view
    positions = resolve(args.set, view, args.uid)
    if not args.uid and view.gone(positions):
        raise Expunged()
    return uids_of(view, positions)


def copyuid(copied: Copied) -> bytes:
    """The response code COPYUID, without brackets."""
    return b"COPYUID %d %b %b" % (copied.uidvalidity, wire(copied.source), wire(copied.target))


def limits(session: Session) -> Limits:
    """The account's quota, which the store holds inside the commit."""
    entry = session.identity.entry
    return Limits(bytes=entry.quota_bytes, messages=entry.quota_messages)
