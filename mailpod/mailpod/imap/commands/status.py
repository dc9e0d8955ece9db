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
    await session.account.refresh()
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
}
