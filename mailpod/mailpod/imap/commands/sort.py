"""SORT and UID SORT (RFC 5256 §3, RFC 7162 §3.1.9), with RETURN (RFC 5267 §3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailpod.imap.commands.search import answer, check_utf8
from mailpod.imap.messagelimit import check_ordered
from mailpod.imap.sorting import in_order

if TYPE_CHECKING:
    from mailpod.imap.reply import Done
    from mailpod.imap.search import Search
    from mailpod.imap.session import Session
    from mailpod.imap.syntax_search import SortArgs


async def run(session: Session, args: SortArgs) -> Done:
    """Raises MessageLimit, and what reading messages raises."""
    check_utf8(session, args.search)
    return await answer(session, args.search, b"* SORT", lambda search: _sorted(session, search, args), args.criteria)


async def _sorted(session: Session, search: Search, args: SortArgs) -> Sequence[int]:
    await check_ordered(session, search, args.search.key)
    return await in_order(search, await search.run(args.search.key), args.criteria)
