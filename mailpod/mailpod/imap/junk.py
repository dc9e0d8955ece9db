"""What a client says of spam: by moving messages into Junk or out of it, and by keywords. The spam filter learns it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from mailpod.errors import NoSuchMailbox

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import StoreArgs
    from mailpod.store import Copied, Mailbox

# RFC 6154 §2
_JUNK: Final = "\\Junk"
_TRASH: Final = "\\Trash"
# IANA's "IMAP and JMAP Keywords"
_SPAM: Final = "$junk"
_HAM: Final = "$notjunk"


def moved(session: Session, source: Mailbox, target: str, copied: Copied) -> None:
    """After a COPY or MOVE in the user's own account. From Junk into Trash says nothing: spam that is deleted was no
    mistake."""
    try:
        into = session.account.mailbox(target)
    except NoSuchMailbox:  # deleted meanwhile
        return
    if source.special_use == into.special_use or _JUNK not in (source.special_use, into.special_use):
        return
    if into.special_use != _TRASH:
        _teach(session, into, copied.target, spam=into.special_use == _JUNK)


def marked(session: Session, args: StoreArgs, uids: Iterable[int], unchanged: Sequence[int]) -> None:
    """After a STORE to `uids`, of which `unchanged` were left as they were."""
    given = {flag.lower() for flag in args.flags} & {_SPAM, _HAM}
    if session.view.access.who is None and len(given) == 1 and args.mode != "remove":
        _teach(session, session.view.mailbox, set(uids).difference(unchanged), spam=_SPAM in given)


def _teach(session: Session, mailbox: Mailbox, uids: Iterable[int], *, spam: bool) -> None:
    session.services.teacher.learn(session.account.ref, mailbox.name, uids, spam=spam)
