"""SEARCH and UID SEARCH (RFC 3501 §6.4.4), with RETURN (RFC 4731, RFC 5182, RFC 9394) and MODSEQ (RFC 7162 §3.1.5).

RETURN (UPDATE) makes a context of it, and of SORT (RFC 5267 §4.3).
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

from pyroaring import BitMap

from mailpod.errors import MailError
from mailpod.imap import wire
from mailpod.imap.contexts import Context, TagReused, fixed, steady
from mailpod.imap.lexer import BadCommand
from mailpod.imap.messagelimit import searched as limited
from mailpod.imap.reply import Done
from mailpod.imap.results import esearch, head, highest, kept, numbers_of
from mailpod.imap.search import Search
from mailpod.imap.syntax_search import Return

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax_search import SearchArgs, SortKey
    from mailpod.imap.view import View

_SEARCH: Final = b"* SEARCH"


async def run(session: Session, args: SearchArgs) -> Done:
    """Raises what reading messages raises."""
    check_charset(session, args)
    return await answer(session, args, _SEARCH, lambda search: find(session, search, args))


async def find(session: Session, search: Search, args: SearchArgs) -> Sequence[int]:
    """Positions of what is found among the messages that one command may process."""
    among, session.limited = await limited(session, search, args.key)
    return await search.run(args.key, among)


def check_charset(session: Session, args: SearchArgs) -> None:
    """Raises BadCommand."""
    if args.charset is not None and session.enabled.utf8:
        raise BadCommand("CHARSET cannot be given once UTF8=ACCEPT is enabled")  # RFC 9755 §3


def check_utf8(session: Session, args: SearchArgs) -> None:
    """The same for SORT and THREAD, which must name a charset. Raises BadCommand."""
    if session.enabled.utf8 and args.charset is not None and args.charset.upper() != b"UTF-8":
        raise BadCommand("CHARSET is UTF-8 once UTF8=ACCEPT is enabled")  # RFC 9755 §3


async def answer(
    session: Session,
    args: SearchArgs,
    name: bytes,
    searched: Callable[[Search], Awaitable[Sequence[int]]],
    criteria: tuple[SortKey, ...] = (),
) -> Done:
    """SEARCH's reply, and SORT's, which has criteria: what `searched` gives, as the client asked for it."""
    view = session.view
    context = context_of(session, args, criteria) if args.returns is not None and args.returns.update else None
    search = begin(session, args)
    positions = await saved(view, args.returns, searched(search))
    wanted = args.returns
    if wanted is None and view.enabled.rev2 and name == _SEARCH:
        wanted = Return(frozenset(("ALL",)))  # RFC 9051 §6.4.4, which does not know SORT
    if wanted is None:
        session.send(found(view, args, name, positions))
        return done(session, args)
    session.send(esearch(search, head(session.tag, args.uid), args, wanted, positions))
    if context is not None:
        keep(session, context, [view.uids[at] for at in positions])
    return done(session, args)


async def saved(view: View, wanted: Return | None, searched: Awaitable[Sequence[int]]) -> Sequence[int]:
    """What `searched` gives, and `$` has from then on where SAVE asks for it. Raises what `searched` raises."""
    if wanted is None or "SAVE" not in wanted.options:
        return await searched
    try:
        positions = await searched
    except MailError as error:
        if error.imap[0] == "NO":
            view.saved = array("I")  # RFC 5182 §2.1: after a NO the result is empty, a BAD leaves it
        raise
    view.saved = array("I", [view.uids[at] for at in sorted(kept(positions, wanted))])
    return positions


def context_of(session: Session, args: SearchArgs, criteria: tuple[SortKey, ...], start: bytes = b"") -> Context:
    """Of what is there before the search: what changes meanwhile is tested after it. Raises TagReused."""
    view = session.view
    if session.tag in view.contexts:
        raise TagReused
    key, modseq = fixed(args.key, view), view.mailbox.highest_modseq
    start = start or head(session.tag, args.uid)
    items = args.returns.items if args.returns is not None else ()
    return Context(start, args.uid, key, criteria, modseq, view.last_uid, BitMap(), array("I"), items)


def keep(session: Session, context: Context, uids: Sequence[int]) -> None:
    """Or refuse to (RFC 5267 §4.3.1)."""
    contexts = session.view.contexts
    reason = b"" if steady(context.key) else b"What matches changes with time"
    if session.limited is not None:
        reason = b"Not all messages were searched"
    if any(key.name == "RELEVANCY" for key in context.criteria):
        reason = b"An order by relevancy is not updated"
    if len(contexts) >= session.services.settings.imap.search_contexts:
        reason = b"Too many searches are updated"
    if reason:
        session.send(b"* NO [NOUPDATE %b] %b\r\n" % (wire.string(session.tag), reason))
        return
    context.members = BitMap(uids)
    context.order = array("I", uids if context.criteria else ())
    contexts[session.tag] = context


def done(session: Session, args: SearchArgs) -> Done:
    """RFC 5530 §3: messages may be missing in an answer by numbers, since others expunged them and EXPUNGE waits."""
    missing = not args.uid and session.view.gone([range(session.view.exists)])
    return Done(b"EXPUNGEISSUED" if missing else None)


def found(view: View, args: SearchArgs, name: bytes, positions: Sequence[int]) -> bytes:
    """`* SEARCH 2 3 (MODSEQ n)`, and SORT's (RFC 7162 §3.1.6, §3.1.9)."""
    line = wire.numbers(numbers_of(view, args.uid, positions))
    code = b" (MODSEQ %d)" % highest(view, positions) if args.modseq and positions else b""
    return name + line + code + b"\r\n"


def begin(session: Session, args: SearchArgs, view: View | None = None) -> Search:
    """A search of the selected mailbox, or another, that lets others run, and ends when the client is gone."""
    session.enabled.condstore = session.enabled.condstore or args.modseq  # RFC 7162 §3.1

    async def pause(messages: int) -> None:
        due = session.progress.add(messages, session.services.clock.elapsed())
        if due:
            session.send(due)
        await session.drained()
        await asyncio.sleep(0)

    return Search(view or session.view, session.services.budget, pause, session.services.clock.now())
