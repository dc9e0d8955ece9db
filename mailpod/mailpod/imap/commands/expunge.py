"""EXPUNGE (RFC 3501 §6.4.3) and UID EXPUNGE (RFC 4315 §2.1).

Invariant: exactly the messages that carry \\Deleted at the time of the command go, in one commit.
"""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING

from mailpod.errors import CannotDo
from mailpod.imap.sequence import resolve, uids_of

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import ExpungeArgs
    from mailpod.store import Mailbox

DELETED = "\\Deleted"


async def run(session: Session, args: ExpungeArgs) -> None:
    """The EXPUNGE responses come with the poll that follows every command. Raises CannotDo after EXAMINE."""
    view = session.view
    if view.read_only:
        raise CannotDo("The mailbox is selected read-only")
    uids = deleted(view.mailbox)
    if args.set is not None:
        uids = sorted(set(uids).intersection(uids_of(view, resolve(args.set, view, uid=True))))
    if uids:
        await view.account.expunge(view.mailbox, uids)


def deleted(mailbox: Mailbox) -> list[int]:
    """UIDs of the messages with \\Deleted; for CLOSE too."""
    chosen = [DELETED in flags for flags in mailbox.flag_sets]
    return list(compress(mailbox.uids, map(chosen.__getitem__, mailbox.flags)))
