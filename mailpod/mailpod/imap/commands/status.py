"""STATUS (RFC 3501 §6.3.10), with HIGHESTMODSEQ, SIZE, MAILBOXID, APPENDLIMIT and what QUOTA asks for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Final

from mailpod.imap import wire
from mailpod.imap.commands.expunge import DELETED
from mailpod.imap.lexer import BadCommand
from mailpod.imap.places import opened

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import StatusArgs
    from mailpod.store import Mailbox


async def run(session: Session, args: StatusArgs) -> None:
    """Raises NoSuchMailbox, NoPermission, Unavailable."""
    async with opened(session, args.mailbox, fresh=True) as place:
        session.poll(expunge=True)  # STORE.md: HIGHESTMODSEQ is told after what leads up to it
        session.send(line(session, place.mailbox("r"), args.items, place.access.shown))


def line(session: Session, mailbox: Mailbox, items: Sequence[str], shown: str = "") -> bytes:
    """`* STATUS name (…)`, for LIST too. `shown` stands before the names of another's mailboxes."""
    if "RECENT" in items and session.enabled.rev2:
        raise BadCommand("IMAP4rev2 has no RECENT")  # RFC 9051 App. E
    if "HIGHESTMODSEQ" in items:
        session.enabled.condstore = True  # RFC 7162 §3.1
    return response(session, mailbox, items, shown)


def response(session: Session, mailbox: Mailbox, items: Iterable[str], shown: str = "") -> bytes:
    """The same, of items that nobody asked for now (RFC 5465): it enables nothing."""
    values = (b"%b %b" % (item.encode("ascii"), _value(session, mailbox, item)) for item in items)
    name = wire.mailbox(shown + mailbox.name, session.enabled.utf8_names)
    return b"* STATUS %b %b\r\n" % (name, wire.parenthesized(values))


def _value(session: Session, mailbox: Mailbox, item: str) -> bytes:
    if item == "MAILBOXID":
        return b"(%b)" % mailbox.object_id.encode("ascii")
    if item == "APPENDLIMIT":
        return b"%d" % session.services.settings.imap.append_bytes
    if item == "RECENT":
        return b"%d" % _recent(session, mailbox)
    return b"%d" % _NUMBERS[item](mailbox)


def _recent(session: Session, mailbox: Mailbox) -> int:
    """RFC 3501 §6.3.10: of the selected mailbox those that have \\Recent in this session, too; none loses it."""
    view, first = session.selected, mailbox.peek_recent()
    if view is None or view.mailbox is not mailbox:
        return mailbox.exists - bisect_left(mailbox.uids, first)
    return view.recent + mailbox.exists - bisect_left(mailbox.uids, max(first, view.last_uid + 1))


def _deleted(mailbox: Mailbox) -> int:
    return sum(mailbox.flags.count(at) for at, flags in enumerate(mailbox.flag_sets) if DELETED in flags)


def _deleted_storage(mailbox: Mailbox) -> int:
    """Octets, RFC 9208 §4.1.4."""
    chosen = [DELETED in flags for flags in mailbox.flag_sets]
    return sum(compress(mailbox.sizes, map(chosen.__getitem__, mailbox.flags)))


_NUMBERS: Final[dict[str, Callable[[Mailbox], int]]] = {
    "MESSAGES": lambda mailbox: mailbox.exists,
    "UIDNEXT": lambda mailbox: mailbox.uidnext,
    "UIDVALIDITY": lambda mailbox: mailbox.uidvalidity,
    "UNSEEN": lambda mailbox: mailbox.unseen,
    "HIGHESTMODSEQ": lambda mailbox: mailbox.highest_modseq,
    "SIZE": lambda mailbox: mailbox.bytes,
    "DELETED": _deleted,
    "DELETED-STORAGE": _deleted_storage,
}
