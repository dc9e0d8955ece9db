"""SEARCH and UID SEARCH (RFC 3501 §6.4.4)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mailpod.imap.search import Search

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import SearchArgs


async def run(session: Session, args: SearchArgs) -> None:
    """Raises what reading messages raises."""
    view = session.view
    positions = await begin(session).run(args.key)
    numbers = [view.uids[at] for at in positions] if args.uid else [at + 1 for at in positions]
    session.send(" ".join(["* SEARCH", *map(str, numbers)]).encode("ascii") + b"\r\n")


def begin(session: Session) -> Search:
    """A search of the selected mailbox that lets others run, and ends when the client is gone."""

    async def pause() -> None:
        await session.drained()
        await asyncio.sleep(0)

    return Search(session.view, session.services.budget, pause)
