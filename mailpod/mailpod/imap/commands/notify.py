"""NOTIFY (RFC 5465 §3.1).

Invariant: a session that is notified has no task and no timer while nothing happens: as in IDLE, changes of this pod
arrive by Account.watch, those of others by the look that all watchers of an account share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mailpod.errors import MailError

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax_notify import NotifyArgs

_BATCH: Final = 500


class TooMuch(MailError):
    """RFC 5465 §3.1."""

    imap = ("NO", "NOTIFICATIONOVERFLOW")


async def run(session: Session, args: NotifyArgs) -> None:
    """Raises TooMuch, Unavailable."""
    await session.account.refresh()
    if not args.none and session.selected is not None and not session.selected.mailbox.deleted:
        session.send(session.selected.poll(allow_expunge=True))  # RFC 5465 §3.1: an implicit NOOP
    notified = session.notified_of(args)
    watched = notified.watch.watched()
    most = session.services.settings.imap.notify_mailboxes
    if len(watched) > most:
        raise TooMuch(f"Messages of {most} mailboxes can be watched")
    for count, box in enumerate(watched if args.status else (), 1):
        session.send(notified.watch.state(box))
        if count % _BATCH == 0:
            await session.drained()
    session.notify(notified)
