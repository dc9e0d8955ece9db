"""LSUB (RFC 3501 §6.3.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.imap.commands.listing import line
from mailpod.imap.matching import Matcher
from mailpod.imap.names import order, superiors

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import ListArgs


async def run(session: Session, args: ListArgs) -> None:
    """Subscribed names, whether they exist or not."""
    if args.patterns == ("",):
        session.send(b'* LSUB (\\Noselect) "/" ""\r\n')
        return
    matcher = Matcher(args.reference, args.patterns)
    subscribed = {name for name in session.account.subscriptions if matcher(name)}
    # RFC 3501 §6.3.9: with %, a name that is only above subscribed ones is told as \Noselect
    hidden = session.account.subscriptions - subscribed if any("%" in pattern for pattern in args.patterns) else ()
    implied = {parent for name in hidden for parent in superiors(name) if matcher(parent)} - subscribed
    for name in sorted(subscribed | implied, key=order):
        session.send(line(b"LSUB", [b"\\Noselect"] if name in implied else [], name, utf8=session.enabled.utf8_names))
    await session.drained()
