"""SEARCH and UID SEARCH (RFC 3501 §6.4.4), with RETURN (RFC 4731, RFC 5182, RFC 9394) and MODSEQ (RFC 7162 §3.1.5)."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Final

from mailpod.errors import MailError
from mailpod.imap.reply import Done
from mailpod.imap.results import esearch, highest, kept, numbers_of
from mailpod.imap.search import Search
from mailpod.imap.syntax_search import Return

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax_search import SearchArgs
    from mailpod.imap.view import View

_SEARCH: Final = b"* SEARCH"


async def run(session: Session, args: SearchArgs) -> Done:
    """Raises what reading messages raises."""
    return await answer(session, args, _SEARCH, begin(session, args).run(args.key))


async def answer(session: Session, args: SearchArgs, name: bytes, searched: Awaitable[Sequence[int]]) -> Done:
    """SEARCH's reply, and SORT's: what `searched` gives, as the client asked for it."""
    view = session.view
    saves = args.returns is not None and "SAVE" in args.returns.options
    try:
        positions = await searched
    except MailError as error:
        if saves and error.imap[0] == "NO":
            view.saved = array("I")  # RFC 5182 §2.1: after a NO the result is empty, a BAD leaves it
        raise
    wanted = args.returns
    if wanted is None and view.enabled.rev2 and name == _SEARCH:
        wanted = Return(frozenset(("ALL",)))  # RFC 9051 §6.4.4, which does not know SORT
    if wanted is None:
        session.send(found(view, args, name, positions))
        return done(session, args)
    if saves:
        view.saved = array("I", [view.uids[at] for at in sorted(kept(positions, wanted))])
    session.send(esearch(view, session.tag, args, wanted, positions))
    return done(session, args)


def done(session: Session, args: SearchArgs) -> Done:
    """RFC 5530 §3: messages may be missing in an answer by numbers, since others expunged them and EXPUNGE waits."""
    missing = not args.uid and session.view.gone([range(session.view.exists)])
    return Done(b"EXPUNGEISSUED" if missing else None)


def found(view: View, args: SearchArgs, name: bytes, positions: Sequence[int]) -> bytes:
    """`* SEARCH 2 3 (MODSEQ n)`, and SORT's (RFC 7162 §3.1.5, §3.1.6)."""
    numbers = tuple(numbers_of(view, args.uid, positions))
    line = (b" %d" * len(numbers)) % numbers  # one formatting for all
    code = b" (MODSEQ %d)" % highest(view, positions) if args.modseq and positions else b""
    return name + line + code + b"\r\n"


def begin(session: Session, args: SearchArgs) -> Search:
    """A search of the selected mailbox that lets others run, and ends when the client is gone."""
    session.enabled.condstore = session.enabled.condstore or args.modseq  # RFC 7162 §3.1

    async def pause() -> None:
        await session.drained()
        await asyncio.sleep(0)

    return Search(session.view, session.services.budget, pause, session.services.clock.now())
