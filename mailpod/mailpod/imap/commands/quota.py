"""GETQUOTA, GETQUOTAROOT and SETQUOTA (RFC 9208 §4.1): one root for the whole account, whose name is empty.

An account without limits has no root: Thunderbird takes an empty list of resources for a broken answer.
Invariant: what is shown is what the store holds inside each commit: copy.py's `limits`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailpod.errors import CannotDo, NoSuchMailbox
from mailpod.imap import wire
from mailpod.imap.commands.copy import limits

if TYPE_CHECKING:
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
    if args.root or not _is_limited(session):
        raise NoSuchRoot
    await session.account.refresh()
    session.send(_quota(session))


async def run_root(session: Session, args: MailboxArgs) -> None:
    """Raises NoSuchMailbox, Unavailable."""
    await session.account.refresh()
    mailbox = session.account.mailbox(args.mailbox)
    name = wire.mailbox(mailbox.name, session.enabled.utf8_names)
    if not _is_limited(session):
        session.send(b"* QUOTAROOT %b\r\n" % name)  # RFC 9208 §4.2.2: zero or more roots
        return
    session.send(b'* QUOTAROOT %b ""\r\n' % name)
    session.send(_quota(session))


async def run_set(_session: Session, _args: QuotaArgs) -> None:
    """Raises NotAllowed: QUOTASET is not advertised (RFC 9208 §3.1.2), and a quota stands in the Mailbox resource."""
    raise NotAllowed


def _is_limited(session: Session) -> bool:
    most = limits(session)
    return most.bytes is not None or most.messages is not None


def _quota(session: Session) -> bytes:
    most, account = limits(session), session.account
    resources = []
    if most.bytes is not None:
        resources.append(b"STORAGE %d %d" % (-(-account.usage_bytes // _UNIT), most.bytes // _UNIT))
    if most.messages is not None:
        resources.append(b"MESSAGE %d %d" % (account.usage_messages, most.messages))
    return b'* QUOTA "" %b\r\n' % wire.parenthesized(resources)
