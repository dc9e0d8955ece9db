"""GETQUOTA, GETQUOTAROOT and SETQUOTA (RFC 9208 §4.1): one root for the whole account, whose name is empty.

An account without limits has no root: Thunderbird takes an empty list of resources for a broken answer.
Invariant: what is shown is what the store holds inside each commit: `Place.limits`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.errors import CannotDo, NoSuchMailbox
from mailpod.imap import wire
from mailpod.imap.names import DELIMITER
from mailpod.imap.places import opened, own_place

if TYPE_CHECKING:
    from mailpod.imap.places import Place
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import MailboxArgs, QuotaArgs

_UNIT = 1024  # RFC 9208 §5.1: STORAGE counts these


class NoSuchRoot(NoSuchMailbox):
    """RFC 9208 §4.1.1."""

    def __init__(self) -> None:
        super().__init__('the only quota root is "", and only where there are limits')


class NotAllowed(CannotDo):
    """RFC 5530 §3."""

    imap = ("NO", "NOPERM")
    text = "The quota is not set by IMAP"


async def run_get(session: Session, args: QuotaArgs) -> None:
    """Raises NoSuchRoot, Unavailable."""
    if args.root:
        session.send(await _others(session, args.root))
        return
    place = own_place(session, "")
    if not _is_limited(place):
        raise NoSuchRoot
    await session.account.refresh()
    session.send(_quota(place))


async def _others(session: Session, root: bytes) -> bytes:
    """Of an owner some of whose mailboxes the user may read, as for GETQUOTAROOT. Raises NoSuchRoot, Unavailable."""
    try:
        async with opened(session, f"{root.decode()}/INBOX") as place:
            readable = any(place.access.may(box, "r") for box in place.account.mailboxes.values())
            if not place.own and readable and _is_limited(place):
                return _quota(place)
    except (UnicodeDecodeError, NoSuchMailbox):
        pass
    raise NoSuchRoot


async def run_root(session: Session, args: MailboxArgs) -> None:
    """Raises NoSuchMailbox, NoPermission, Unavailable."""
    async with opened(session, args.mailbox, fresh=True) as place:
        if not place.own:  # RFC 9208 §4.1.2: the mailbox need not exist; of others' accounts it says only what it may
            place.mailbox("r")
        name = wire.mailbox(place.shown, session.enabled.utf8_names)
        if not _is_limited(place):
            session.send(b"* QUOTAROOT %b\r\n" % name)  # RFC 9208 §4.2.2: zero or more roots
            return
        session.send(b"* QUOTAROOT %b %b\r\n" % (name, _root(place)))
        session.send(_quota(place))


async def run_set(_session: Session, _args: QuotaArgs) -> None:
    """Raises NotAllowed: QUOTASET is not advertised (RFC 9208 §3.1.2), and a quota stands in the Mailbox resource."""
    raise NotAllowed


def _is_limited(place: Place) -> bool:
    return place.limits.bytes is not None or place.limits.messages is not None


def _root(place: Place) -> bytes:
    return wire.string(place.access.shown.removesuffix(DELIMITER).encode())


def _quota(place: Place) -> bytes:
    most, account = place.limits, place.account
    resources = []
    if most.bytes is not None:
        resources.append(b"STORAGE %d %d" % (-(-account.usage_bytes // _UNIT), most.bytes // _UNIT))
    if most.messages is not None:
        resources.append(b"MESSAGE %d %d" % (account.usage_messages, most.messages))
    return b"* QUOTA %b %b\r\n" % (_root(place), wire.parenthesized(resources))
