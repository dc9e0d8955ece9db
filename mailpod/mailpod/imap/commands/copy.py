"""COPY and UID COPY (RFC 3501 §6.4.7), with COPYUID (RFC 4315 §3).

Invariant: one commit: all messages are copied, flags and internal dates with them, or none. Between accounts the bytes
are written again, and flags that one may not set there are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailpod.errors import Expunged
from mailpod.imap import junk
from mailpod.imap.messagelimit import check_copied
from mailpod.imap.permanent import FLAG_RIGHTS
from mailpod.imap.places import opened
from mailpod.imap.reply import Done
from mailpod.imap.sequence import resolve, uids_of
from mailpod.imap.sets import wire
from mailpod.store.bringing import bring
from mailpod.store.rights import every

if TYPE_CHECKING:
    from array import array

    from mailpod.imap.places import Place
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import CopyArgs
    from mailpod.imap.view import View
    from mailpod.store import Copied, Guard


async def run(session: Session, args: CopyArgs) -> Done | None:
    """Raises TryCreate, NoPermission, OverQuota, and Expunged when messages asked for by number are gone."""
    view = session.view
    uids = chosen(session, args)
    if not uids:
        return Done(None, b"No messages to copy")
    check_copied(session, uids)
    async with opened(session, args.mailbox) as place:
        if is_within(view, place):
            copied = await view.account.copy(
                view.mailbox, uids, place.name, limits=place.limits, guard=place.guard("i")
            )
        else:
            copied = await carry(session, uids, place)
        session.services.quota.grown(place.account, place.owner)
        if session.notified is not None:
            session.notified.made(place.shown, copied.target)
        if copied.source and view.access.who is None and place.own:
            junk.moved(session, view.mailbox, args.mailbox, copied)
        code = copyuid(copied) if copied.source and place.tells_uids else None
    return Done(code, b"Copied" if copied.source else b"No messages copied")


def is_within(view: View, place: Place) -> bool:
    """Whether messages stay in their account, and may keep their flags: then bytes are not written again."""
    if view.account is not place.account:
        return False
    return place.own or not FLAG_RIGHTS - set(place.access.rights(place.target()))


async def carry(session: Session, uids: Sequence[int], place: Place) -> Copied:
    """Copies of the selected mailbox's messages, with the flags that may be set there (RFC 4314 §4), in one commit.

    Raises TryCreate, NoPermission, OverQuota, Expunged, Damaged, Unavailable.
    """
    view, services = session.view, session.services
    target = place.target()
    guard = every(place.guard("i"), _while_readable(view))
    share = min(place.account.settings.commit_bytes, services.budget.total)
    await services.budget.take(share)
    try:
        return await bring(
            view.account,
            view.mailbox,
            uids,
            place.account,
            place.name,
            flags=lambda flags: place.access.allowed(target, flags),
            now=services.clock.now(),
            limits=place.limits,
            guard=guard,
        )
    finally:
        services.budget.give(share)


def _while_readable(view: View) -> Guard | None:
    """The right to read is looked at again when the copies are committed, as far as is known then."""
    if view.access.who is None:
        return None
    return lambda _: view.check_readable()


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
