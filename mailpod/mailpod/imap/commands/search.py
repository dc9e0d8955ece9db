"""SEARCH and UID SEARCH (RFC 3501 §6.4.4, RFC 7162 §3.1.5)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailpod.imap.search import Search

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import SearchArgs
    from mailpod.imap.view import View


async def run(session: Session, args: SearchArgs) -> None:
    """Raises what reading messages raises."""
    view = session.view
    positions = await begin(session, args).run(args.key)
    numbers = [view.uids[at] for at in positions] if args.uid else [at + 1 for at in positions]
    session.send(found(view, args, b"* SEARCH", numbers, positions))


def found(view: View, args: SearchArgs, name: bytes, numbers: Sequence[int], positions: Sequence[int]) -> bytes:
    """`* SEARCH 2 3 (MODSEQ n)`, and SORT's (RFC 7162 §3.1.5, §3.1.6)."""
    line = " ".join(["", *map(str, numbers)]).encode("ascii")
    code = b" (MODSEQ %d)" % highest(view, positions) if args.modseq and positions else b""
    return name + line + code + b"\r\n"


def highest(view: View, positions: Sequence[int]) -> int:
    """RFC 7162 §3.1.5: the highest modseq of the messages found, of which there are some."""
    column = view.modseq_column(range(view.exists))
    return max(map(column.__getitem__, positions))


def begin(session: Session, args: SearchArgs) -> Search:
    """A search of the selected mailbox that lets others run, and ends when the client is gone."""
    session.enabled.condstore = session.enabled.condstore or args.modseq  # RFC 7162 §3.1

    async def pause() -> None:
        await session.drained()
        await asyncio.sleep(0)

    return Search(session.view, session.services.budget, pause)
