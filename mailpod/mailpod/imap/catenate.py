"""Messages put together of text and of parts of others: CATENATE (RFC 4469).

Invariants: octets that are read, and the message made of them, are taken from the pod's budget, without waiting, and
held until the message is stored; a mailbox that is not there looks like a message that is not.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from mailpod.errors import Busy, Damaged, Expunged, LimitReached, MailError, NoPermission, NoSuchMailbox, TooBig
from mailpod.imap.grammar_fetch import section_text
from mailpod.imap.lexer import BadCommand
from mailpod.imap.places import opened
from mailpod.imap.sections import Section, cut, section_of, span
from mailpod.imap.syntax import TextPart
from mailpod.imap.url import BadSyntax, MessageUrl, parse

if TYPE_CHECKING:
    from mailpod.imap.places import Place
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import AppendMessage
    from mailpod.net.budget import Budget
    from mailpod.store import Account, Mailbox

_NOT_IN_A_CODE: Final = re.compile(rb"[\x00-\x20\x7f-\xff\\\]]")  # RFC 4469 §5 url-resp-text, and a space
_SHOWN: Final = 1000


class BadUrl(MailError):
    """RFC 4469 §4.1: the first URL that gives nothing."""

    text = "The URL names no message or part of one"

    def __init__(self, url: bytes) -> None:
        super().__init__()
        shown = _NOT_IN_A_CODE.sub(lambda found: b"%%%02X" % found[0][0], url[:_SHOWN])
        # RFC 4469 §5: the code has a character at least, and the empty URL (RFC 5092 §11 ipath-empty) none
        self.imap = ("NO", f"BADURL {shown.decode('ascii')}" if shown else "CANNOT")


class _Held:
    """Octets of the budget that are given back together."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._octets = 0

    def take(self, octets: int) -> None:
        """Raises Busy: who holds octets of the budget waits for no others."""
        if not self._budget.try_take(octets):
            raise Busy
        self._octets += octets

    def give_back(self) -> None:
        octets, self._octets = self._octets, 0
        self._budget.give(octets)


def whole(
    session: Session, place: Place, messages: Sequence[AppendMessage]
) -> AbstractAsyncContextManager[Sequence[AppendMessage]]:
    """The messages with their octets, to be stored at `place` before they are left. Raises BadUrl, TooBig, Busy,
    LimitReached, TryCreate, NoPermission, Unavailable."""
    if not any(message.parts for message in messages):
        return nullcontext(messages)
    return _catenated(session, place, messages)


@asynccontextmanager
async def _catenated(
    session: Session, place: Place, messages: Sequence[AppendMessage]
) -> AsyncIterator[Sequence[AppendMessage]]:
    count = sum(len(message.parts) for message in messages)
    most = session.services.settings.imap.catenate_parts
    if count > most:
        raise LimitReached(f"One APPEND may catenate {most} parts")
    place.target()
    held = _Held(session.services.budget)
    try:
        yield [await _put_together(session, message, held) if message.parts else message for message in messages]
    finally:
        held.give_back()


async def _put_together(session: Session, message: AppendMessage, held: _Held) -> AppendMessage:
    room = session.services.settings.imap.append_bytes
    read = _Held(session.services.budget)
    try:
        pieces: list[bytes] = []
        for part in message.parts:
            pieces.append(part.data if isinstance(part, TextPart) else await _fetched(session, part.url, room, read))
            room -= len(pieces[-1])
            if room < 0:
                raise TooBig
        held.take(sum(map(len, pieces)))
        binary = any(part.binary for part in message.parts if isinstance(part, TextPart))
        return msgspec.structs.replace(message, data=b"".join(pieces), binary=binary, parts=())
    finally:
        read.give_back()


async def _fetched(session: Session, wire: bytes, room: int, held: _Held) -> bytes:
    """What BODY[section] of the message is (RFC 4469 §3). Raises BadUrl, TooBig, Busy, Unavailable."""
    view = session.selected
    try:
        url = parse(wire, view.shown if view is not None else None)
        _check_server(session, url)
        async with opened(session, url.mailbox, fresh=True) as place:
            return await part_of(place.account, place.mailbox("r"), url, room, held.take)
    except (BadSyntax, BadCommand, NoSuchMailbox, NoPermission, Expunged, Damaged):
        raise BadUrl(wire) from None


async def part_of(account: Account, mailbox: Mailbox, url: MessageUrl, room: int, take: Callable[[int], None]) -> bytes:
    """At most `room` octets, for which `take` is called before they are read, and raises Busy.

    Raises Expunged where the URL names nothing, BadCommand, Damaged, TooBig, Unavailable.
    """
    section = section_at(url)
    if url.uidvalidity not in (None, mailbox.uidvalidity) or mailbox.index(url.uid) < 0:
        raise Expunged  # its row, and its octets, may be there for a while yet
    async for page, rows in mailbox.pages([url.uid]):
        octets = span(section, page, rows[0])
        if octets is None:
            break
        start, end = octets
        if end - start > room:
            raise TooBig
        take(end - start)
        data = await account.body(page.location(rows[0]), start, end) if start < end else b""
        return cut(section, data, page, rows[0])
    raise Expunged


def section_at(url: MessageUrl) -> Section:
    """Raises BadCommand for what is no section of FETCH."""
    section = section_of(section_text(url.section))
    assert section is not None
    if url.partial is None:
        return section
    first, count = url.partial
    return replace(section, partial=(first, 2**32 if count is None else count))


def _check_server(session: Session, url: MessageUrl) -> None:
    """Raises BadSyntax for a server or a user that is not this session's."""
    if url.host is None:
        return
    mine = (session.services.settings.hostname.lower(), session.identity.address.lower())
    if (url.host.lower(), (url.user or "").lower()) != mine:  # RFC 5092 §3.2: none is anonymous, who has no mail here
        raise BadSyntax
