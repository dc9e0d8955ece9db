"""How many messages one command may process: MESSAGELIMIT and SAVELIMIT (RFC 9738). Off unless a setting says how many.

Invariants: COPY, APPEND, SORT, THREAD and pages of FETCH are done whole or not at all (RFC 9738 §3.1, §3.3). Of the
others' messages those with the highest UIDs are processed; the client is told the lowest of these, and begins below it
again. EXPUNGE and CLOSE have no limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mailpod.errors import MailError
from mailpod.imap.sets import last
from mailpod.imap.syntax_search import All, And, Not, Or, Seq, Uid

if TYPE_CHECKING:
    from mailpod.imap.search import Search
    from mailpod.imap.session import Session
    from mailpod.imap.syntax_search import SearchKey
    from mailpod.imap.view import View

_TOLD: Final = b"Only the newest messages were processed"


class MessageLimit(MailError):
    """RFC 9738 §3.1: nothing was done. The limit, and where the highest UIDs that would fit begin."""

    def __init__(self, most: int, lowest: int | None = None) -> None:
        super().__init__(f"Too many messages, at most {most} at once")
        self.imap = ("NO", f"MESSAGELIMIT {most}" if lowest is None else f"MESSAGELIMIT {most} {lowest}")


@dataclass(frozen=True, slots=True)
class Limited:
    """Of a command that did only a part: the limit, and the lowest UID that it came to."""

    most: int
    lowest: int

    @property
    def code(self) -> bytes:
        return b"MESSAGELIMIT %d %d" % (self.most, self.lowest)

    @property
    def untagged(self) -> bytes:
        """RFC 9738 §3.1: where the tagged response has another code, or is a NO."""
        return b"* NO [%b] %b\r\n" % (self.code, _TOLD)


def check_copied(session: Session, uids: Sequence[int]) -> None:
    """`uids` ascend. Raises MessageLimit."""
    most = _to_store(session)
    if most is not None and len(uids) > most:
        raise MessageLimit(most, uids[-most])


def check_appended(session: Session, count: int) -> None:
    """Raises MessageLimit."""
    most = _to_store(session)
    if most is not None and count > most:
        raise MessageLimit(most)


def check_page(session: Session, places: tuple[int, int]) -> None:
    """RFC 9738 §3.1, the example with PARTIAL: by what is asked for. Raises MessageLimit."""
    most = session.services.settings.imap.message_limit
    if most is not None and abs(places[1] - places[0]) >= most:
        raise MessageLimit(most)


async def check_ordered(session: Session, search: Search, key: SearchKey) -> None:
    """RFC 9738 §3.3: SORT and THREAD have no half of a result. Raises MessageLimit."""
    await check_together(session, [search], key)


async def check_together(session: Session, searches: Sequence[Search], key: SearchKey) -> None:
    """Several mailboxes have no one lowest UID. Raises MessageLimit."""
    most = session.services.settings.imap.message_limit
    if most is not None and sum([len(await _named(search, key)) for search in searches]) > most:
        raise MessageLimit(most)


def newest(session: Session, view: View, positions: list[range]) -> tuple[list[range], Limited | None]:
    """Those of `positions` that are processed, and what to tell then."""
    most = session.services.settings.imap.message_limit
    if most is None or sum(map(len, positions)) <= most:
        return positions, None
    positions = last(positions, most)
    return positions, Limited(most, view.uids[positions[0].start])


def newest_uids(session: Session, uids: Sequence[int]) -> tuple[Sequence[int], Limited | None]:
    """The same of UIDs, which ascend."""
    most = session.services.settings.imap.message_limit
    if most is None or len(uids) <= most:
        return uids, None
    return uids[-most:], Limited(most, uids[-most])


async def searched(session: Session, search: Search, key: SearchKey) -> tuple[Sequence[int], Limited | None]:
    """The positions of the messages that are searched: it is those that count, not those that are found."""
    view = search.view
    most = session.services.settings.imap.message_limit
    if most is None or view.exists <= most:
        return range(view.exists), None
    named = await _named(search, key)
    if len(named) <= most:
        return named, None
    return named[-most:], Limited(most, view.uids[named[-most]])


def _to_store(session: Session) -> int | None:
    settings = session.services.settings.imap
    return settings.save_limit if settings.message_limit is None else settings.message_limit


async def _named(search: Search, key: SearchKey) -> Sequence[int]:
    """The positions that the program's keys of numbers and UIDs leave, as UIDBEFORE (RFC 9738 §3.2) does."""
    return await search.run(And(tuple(filter(_by_place, _parts(key)))))


def _parts(key: SearchKey) -> Iterator[SearchKey]:
    if isinstance(key, And):
        for each in key.keys:
            yield from _parts(each)
    else:
        yield key


def _by_place(key: SearchKey) -> bool:
    """Whether no message is looked at for it."""
    match key:
        case And(keys):
            return all(map(_by_place, keys))
        case Or(a, b):
            return _by_place(a) and _by_place(b)
        case Not(inner):
            return _by_place(inner)
    return isinstance(key, All | Seq | Uid)
