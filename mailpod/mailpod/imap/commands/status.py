"""STATUS (RFC 3501 §6.3.10)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mailpod.imap import wire

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import StatusArgs
    from mailpod.store import Mailbox


async def run(session: Session, args: StatusArgs) -> None:
    """Raises NoSuchMailbox, Unavailable."""
    if "HIGHESTMODSEQ" in args.items:
        session.enabled.condstore = True  # RFC 7162 §3.1
    await session.account.refresh()
    session.poll(expunge=True)  # STORE.md: HIGHESTMODSEQ is told after what leads up to it
    mailbox = session.account.mailbox(args.mailbox)
    items = wire.parenthesized(b"%b %d" % (item.encode(), _VALUES[item](mailbox)) for item in args.items)
    session.send(b"* STATUS %b %b\r\n" % (wire.mailbox(mailbox.name), items))


def _recent(mailbox: Mailbox) -> int:
    """RFC 3501 §6.3.10: STATUS loses no message its \\Recent."""
    return mailbox.exists - bisect_left(mailbox.uids, mailbox.peek_recent())


_VALUES: Final[dict[str, Callable[[Mailbox], int]]] = {
    "MESSAGES": lambda mailbox: mailbox.exists,
    "RECENT": _recent,
    "UIDNEXT": lambda mailbox: mailbox.uidnext,
    "UIDVALIDITY": lambda mailbox: mailbox.uidvalidity,
    "UNSEEN": lambda mailbox: mailbox.unseen,
    "HIGHESTMODSEQ": lambda mailbox: mailbox.highest_modseq,
}
