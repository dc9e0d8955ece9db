"""CREATE (RFC 3501 §6.3.3), with MAILBOXID (RFC 8474 §4.1) and a special use (RFC 6154 §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mailpod.errors import UseNotPossible
from mailpod.imap.names import check_new
from mailpod.imap.places import check_free, opened
from mailpod.imap.reply import Done

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import CreateArgs

USES: Final = frozenset(("\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash"))


async def run(session: Session, args: CreateArgs) -> Done:
    """Missing superiors are made too. `foo/` makes foo.

    Raises CannotDo, MailboxExists, UseNotPossible, NoPermission, LimitReached, Unavailable.
    """
    check_new(args.mailbox)
    check_free(args.mailbox)
    if len(args.uses) > 1 or not USES.issuperset(args.uses):
        raise UseNotPossible("A mailbox can have one of the uses " + " ".join(sorted(USES)))
    async with opened(session, args.mailbox) as place:
        if args.uses and not place.own:
            raise UseNotPossible("A mailbox of another user has no special use here")
        made = await place.account.create(place.name, *args.uses, guard=place.guard_new())
    return Done(b"MAILBOXID (%b)" % made.object_id.encode("ascii"))
