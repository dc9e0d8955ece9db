"""APPEND (RFC 3501 §6.3.11), with APPENDUID (RFC 4315 §3).

Invariant: stored byte for byte as sent, and durable before the answer; several messages are one commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.imap.commands.copy import limits
from mailpod.imap.reply import Done
from mailpod.imap.sets import wire
from mailpod.store import NewMessage

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import AppendArgs


async def run(session: Session, args: AppendArgs) -> Done:
    """Raises TryCreate and OverQuota."""
    messages = [NewMessage(each.data, frozenset(each.flags), each.date) for each in args.messages]
    added = await session.account.append(args.mailbox, messages, limits=limits(session))
    return Done(b"APPENDUID %d %b" % (added.uidvalidity, wire(added.uids)), b"Stored")
