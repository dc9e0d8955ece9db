"""EXPUNGE (RFC 3501 §6.4.3) and UID EXPUNGE (RFC 4315 §2.1).

Invariant: exactly the messages that carry \\Deleted at the time of the command go, in one commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import TYPE_CHECKING

from mailpod.imap.messagelimit import newest_uids
from mailpod.imap.reply import Done
from mailpod.imap.sequence import resolve, uids_of

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import ExpungeArgs
    from mailpod.imap.view import View
    from mailpod.store import Mailbox

DELETED = "\\Deleted"


async def run(session: Session, args: ExpungeArgs) -> Done | None:
    """Raises CannotDo after EXAMINE, NoPermission."""
    view = session.view
    view.check_writable("e")
    uids: Sequence[int] = deleted(view.mailbox)
    limited = None
    if args.set is not None:
        uids = sorted(set(uids).intersection(uids_of(view, resolve(args.set, view, uid=True))))
        uids, limited = newest_uids(session, uids)  # RFC 9738 §3.1: EXPUNGE itself has no limit
    if not uids:
        return None
    await view.account.expunge(view.mailbox, uids, guard=view.guard("e"))
    session.limited = limited
    tell_expunged(session, view)
    return Done(highest_modseq(view))


def tell_expunged(session: Session, view: View) -> None:
    """What the client's own command expunged is told whatever NOTIFY says (RFC 5465 §1); flags are as it says."""
    notified = session.notified
    session.send(view.poll(allow_expunge=True, tell_flags=notified is None or notified.tells_flags))


def highest_modseq(view: View) -> bytes | None:
    """RFC 7162 §3.2.7: with QRESYNC the reply to what expunged says up to where the client now knows."""
    return b"HIGHESTMODSEQ %d" % view.modseq if view.enabled.qresync else None


def deleted(mailbox: Mailbox) -> list[int]:
    """UIDs of the messages with \\Deleted; for CLOSE too."""
    chosen = [DELETED in flags for flags in mailbox.flag_sets]
    return list(compress(mailbox.uids, map(chosen.__getitem__, mailbox.flags)))
