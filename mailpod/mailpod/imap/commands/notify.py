"""NOTIFY (RFC 5465 §3.1).

Invariant: a session that is notified has no task and no timer while nothing happens: as in IDLE, changes of this pod
arrive by Account.watch, those of others by the look that all watchers of an account share.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from mailpod.errors import MailError
from mailpod.imap.grammar_notify import TooMuch
from mailpod.imap.places import release, sharing

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax_notify import EventGroup, NotifyArgs

_BATCH: Final = 500


async def run(session: Session, args: NotifyArgs) -> None:
    """Raises TooMuch, Unavailable."""
    await session.account.refresh()
    if session.watched is not session.account:
        await session.watched.refresh()
        await session.drained()  # not where the right to read was taken
    if not args.none and session.selected is not None and not session.selected.mailbox.deleted:
        session.send(session.selected.poll(allow_expunge=True))  # RFC 5465 §3.1: an implicit NOOP
    places = await sharing(session, [name for group in args.groups for name in _named(session, group)])
    try:
        notified = session.notified_of(args, places)
        states = [state for watch in notified.watches for state in watch.states()]
        most = session.services.settings.imap.notify_mailboxes
        if len(states) > most:
            raise TooMuch(f"Messages of {most} mailboxes can be watched")
        for watch in notified.watches:
            session.send(list(watch.no_access()))
        for start in range(0, len(states) if args.status else 0, _BATCH):
            session.send(states[start : start + _BATCH])
            await session.drained()
    except BaseException:
        release(places)
        raise
    session.notify(notified)


async def widen(session: Session) -> None:
    """RFC 5465 §6.4: others' mailboxes that were subscribed to since are watched, too, as far as they can be had."""
    notified = session.notified
    names = notified.missed(session) if notified is not None else None
    if notified is None or not names:
        return
    notified.add(session, names, ())
    with suppress(MailError):
        places = await sharing(session, names)
        if session.notified is notified:
            notified.add(session, names, places)
            return
        release(places)


def _named(session: Session, group: EventGroup) -> Collection[str]:
    return session.account.subscriptions if group.mailboxes == "SUBSCRIBED" else group.names
