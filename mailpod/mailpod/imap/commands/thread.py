"""THREAD and UID THREAD (RFC 5256 §3; REFS: draft-ietf-morg-inthread)."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mailpod.imap.commands.search import begin, check_utf8, done
from mailpod.imap.messagelimit import check_ordered
from mailpod.imap.sortkeys import gathered
from mailpod.imap.threads import by_latest, by_references, by_subject

if TYPE_CHECKING:
    from mailpod.imap.reply import Done
    from mailpod.imap.search import Search
    from mailpod.imap.session import Session
    from mailpod.imap.syntax_search import Algorithm, ThreadArgs
    from mailpod.imap.view import View


_NEEDED: Final[dict[Algorithm, tuple[str, ...]]] = {
    "ORDEREDSUBJECT": ("DATE", "THREAD SUBJECT"),
    "REFERENCES": ("DATE", "THREAD SUBJECT", "THREAD IDS"),
    "REFS": ("DATE", "THREAD IDS"),
}


@dataclass(frozen=True, slots=True)
class _Known:
    """Threads of a whole mailbox: the same for as long as its messages are (an expunge puts a new array there)."""

    uids: array[int]
    exists: int
    wire: bytes


async def run(session: Session, args: ThreadArgs) -> Done:
    """Raises MessageLimit, and what reading messages raises."""
    check_utf8(session, args.search)
    view, search = session.view, begin(session, args.search)
    await check_ordered(session, search, args.search.key)
    positions = await search.run(args.search.key)
    whole = len(positions) == view.exists and view.uids is view.mailbox.uids
    key = (args.algorithm, args.search.uid)
    known: _Known | None = view.mailbox.derived.get(key) if whole else None
    if known is None or known.uids is not view.uids or known.exists != view.exists:
        wire, count = await _threads(view, search, args, positions)
        known = _Known(view.uids, view.exists, wire)
        if whole and count == view.exists:
            view.mailbox.derived[key] = known
    session.send(b"* THREAD %b\r\n" % known.wire if known.wire else b"* THREAD\r\n")
    return done(session, args.search)


async def _threads(view: View, search: Search, args: ThreadArgs, positions: Sequence[int]) -> tuple[bytes, int]:
    """The threads, and how many messages are in them: those whose page is gone are left out."""
    found, columns = await gathered(search, positions, _NEEDED[args.algorithm])
    sent = columns["DATE"]
    match args.algorithm:
        case "ORDEREDSUBJECT":
            forest = by_subject(columns["THREAD SUBJECT"], sent)
        case "REFERENCES":
            forest = by_references(columns["THREAD IDS"], columns["THREAD SUBJECT"], sent)
        case "REFS":
            forest = by_latest(columns["THREAD IDS"], sent)
    numbers = [view.uids[at] for at in found] if args.search.uid else [at + 1 for at in found]
    return forest.wire(numbers), len(found)
