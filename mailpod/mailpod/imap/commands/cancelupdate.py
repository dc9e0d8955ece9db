"""CANCELUPDATE (RFC 5267 §4.3.5): nothing more is told of searches that asked for UPDATE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.errors import MailError

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax_search import CancelArgs


class NoSuchContext(MailError):
    """No search with this tag is updated."""

    imap = ("NO", None)
    text = "There is no such search, or it is not updated"


async def run(session: Session, args: CancelArgs) -> None:
    """Raises NoSuchContext, and then cancels none."""
    contexts = session.view.contexts
    if not contexts.keys() >= set(args.tags):
        raise NoSuchContext
    for tag in set(args.tags):
        del contexts[tag]
