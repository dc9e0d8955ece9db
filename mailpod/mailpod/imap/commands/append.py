"""APPEND (RFC 3501 §6.3.11) of one message or several (RFC 3502), with APPENDUID (RFC 4315 §3).

Invariants: stored byte for byte as sent, and durable before the answer; several messages are one commit. A message with
NULs, which only a literal8 may hold and no BODY[] can show (RFC 3501 §9, CHAR8), is stored with those parts in base64.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from mailpod.errors import CannotDo, Unavailable
from mailpod.imap.catenate import whole
from mailpod.imap.fetchbody import UnknownCte
from mailpod.imap.messagelimit import check_appended
from mailpod.imap.places import opened
from mailpod.imap.reply import Done
from mailpod.imap.sets import wire
from mailpod.mime.encoding import CannotEncode, without_nuls
from mailpod.store import NewMessage
from mailpod.store.together import OPERATION

if TYPE_CHECKING:
    from mailpod.imap.places import Place
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import AppendArgs, AppendMessage

_HEADER_END: Final = re.compile(rb"(?:\A|\n)\r?\n")


async def run(session: Session, args: AppendArgs) -> Done:
    """Raises TryCreate, NoPermission, OverQuota, CannotDo for an empty message, and what `whole` does."""
    check_appended(session, len(args.messages))
    async with opened(session, args.mailbox) as place, whole(session, place, args.messages) as given:
        messages = [permitted(place, new_message(session, each)) for each in given]
        later = len(messages) > 1 and await _may_be_later(session, place)
        added = await place.account.append(
            place.name, messages, limits=place.limits, guard=place.guard("i"), later=later
        )
        session.services.quota.grown(place.account, place.owner)
        if session.notified is not None:
            session.notified.made(place.shown, added.uids)
        code = b"APPENDUID %d %b" % (added.uidvalidity, wire(added.uids)) if place.tells_uids else None
    return Done(code, b"Stored")


async def _may_be_later(session: Session, place: Place) -> bool:
    """Whether all pods find out by themselves what is in messages that came together (DECISIONS, "Format")."""
    try:
        domain = await session.services.directory.domain(place.owner.domain)
    except Unavailable:
        return False
    return domain is not None and OPERATION in domain.reads


def permitted(place: Place, message: NewMessage) -> NewMessage:
    """With those of its flags that may be set there (RFC 4314 §4). Raises TryCreate, NoSuchMailbox, NoPermission."""
    if place.own:
        return message
    return replace(message, flags=frozenset(place.access.allowed(place.target(), message.flags)))


def new_message(session: Session, message: AppendMessage) -> NewMessage:
    """As it is stored. Raises UnknownCte and CannotDo."""
    if not message.data:
        raise CannotDo("A message cannot be empty")  # RFC 3502 §6.3.11: so a client takes an APPEND back
    if not (session.enabled.utf8_names or session.services.settings.imap.append_8bit_headers):
        _check_header(message.data)
    return NewMessage(_without_nuls(message), frozenset(message.flags), message.date, message.zone)


def _check_header(data: bytes) -> None:
    """RFC 9755 §4: header fields are in ASCII, unless the client said that it knows UTF-8."""
    if data.isascii():
        return
    end = _HEADER_END.search(data)
    if end is None or not data[: end.start()].isascii():
        raise CannotDo("A header with 8-bit characters needs ENABLE UTF8=ACCEPT")


def _without_nuls(message: AppendMessage) -> bytes:
    """RFC 3516 §4.4: what cannot be kept as it is, and not be encoded either, is refused."""
    if not message.binary or b"\0" not in message.data:
        return message.data
    try:
        return without_nuls(message.data)
    except CannotEncode:
        raise UnknownCte from None
