"""APPEND (RFC 3501 §6.3.11) of one message or several (RFC 3502), with APPENDUID (RFC 4315 §3).

Invariant: stored byte for byte as sent, and durable before the answer; several messages are one commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.errors import CannotDo
from mailpod.imap.commands.copy import limits
from mailpod.imap.reply import Done
from mailpod.imap.sets import wire
from mailpod.store import NewMessage

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import AppendArgs


async def run(session: Session, args: AppendArgs) -> Done:
    """Raises TryCreate, OverQuota, and CannotDo for an empty message."""
    if not all(each.data for each in args.messages):
        raise CannotDo("A message cannot be empty")  # RFC 3502 §6.3.11: so a client takes an APPEND back
    messages = [NewMessage(each.data, frozenset(each.flags), each.date) for each in args.messages]
    added = await session.account.append(args.mailbox, messages, limits=limits(session))
    return Done(b"APPENDUID %d %b" % (added.uidvalidity, wire(added.uids)), b"Stored")
