"""THREAD and UID THREAD (RFC 5256 §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.imap.commands.search import begin
from mailpod.imap.sortcolumns import Ids, Subject, dates, ids, subjects
from mailpod.imap.threads import by_references, by_subject

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import ThreadArgs


async def run(session: Session, args: ThreadArgs) -> None:
    """Raises what reading messages raises."""
    view, search = session.view, begin(session, args.search)
    references = args.algorithm == "REFERENCES"
    found: list[int] = []
    sent: list[int] = []
    about: list[Subject] = []
    named: list[Ids] = []
    async for page, rows, part in search.pages(await search.run(args.search.key)):
        found += part
        sent += dates(page, rows)
        about += subjects(page, rows)
        if references:
            named += ids(page, rows)
    forest = by_references(named, about, sent) if references else by_subject(about, sent)
    numbers = [view.uids[at] for at in found] if args.search.uid else [at + 1 for at in found]
    threads = forest.wire(numbers)
    session.send(b"* THREAD %b\r\n" % threads if threads else b"* THREAD\r\n")
