"""URLFETCH (RFC 4467 §7, RFC 5524).

- What a URL does not open is NIL, whatever the reason: no such user, mailbox, message or part, not for this session,
  too late, a token of another key.
- A URL is read with its owner's access, in the owner's newest state: a key that any pod reset opens nothing here.
- One URL after the other: what one opens is read within the pod's budget, and on its way before the next is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from mailpod.auth import urlauth
from mailpod.auth.urlauth import BadUrl
from mailpod.errors import Damaged, Expunged, MailError
from mailpod.imap import wire
from mailpod.imap.catenate import section_at
from mailpod.imap.commands.urlauth import owner_of
from mailpod.imap.fetchbody import PageSections, UnknownCte
from mailpod.imap.lexer import BadCommand
from mailpod.imap.places import account_of
from mailpod.imap.sections import Section, span
from mailpod.imap.url import BadSyntax, MessageUrl, parse
from mailpod.mime.partstructure import decoded_structure, part_structure
from mailpod.mime.revisions import structures_for

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax_urlauth import UrlFetchArgs, UrlWanted
    from mailpod.store import Account, Mailbox, Page


class _Closed(Exception):
    """The URL opens nothing."""


async def run(session: Session, args: UrlFetchArgs) -> None:
    """Raises Unavailable."""
    for wanted in args.urls:
        try:
            await _fetch(session, wanted)
        except (_Closed, BadUrl, BadSyntax, BadCommand, Expunged, Damaged):
            session.send(b"* URLFETCH %b NIL\r\n" % wire.string(wanted.url))
        await session.drained()


async def _fetch(session: Session, wanted: UrlWanted) -> None:
    """Raises _Closed and its like before anything was sent; Unavailable."""
    authorization = urlauth.parse(wanted.url)
    url = parse(authorization.url)
    section = section_at(url)
    owner = owner_of(session, url)
    now = session.services.clock.now()
    if owner is None or not authorization.permits(session.identity.address, now):
        raise _Closed
    async with account_of(session, owner) as account:
        mailbox = account.log.served.find(url.mailbox) if account is not None else None
        key = bytes.fromhex(mailbox.url_key) if mailbox is not None else b""
        if not urlauth.verified(authorization, key) or account is None or mailbox is None:
            raise _Closed
        await _answer(
            session,
            account,
            mailbox,
            url,
            replace(section, form="binary") if "BINARY" in wanted.items else section,
            wanted,
        )


async def _answer(
    session: Session, account: Account, mailbox: Mailbox, url: MessageUrl, section: Section, wanted: UrlWanted
) -> None:
    if url.uidvalidity not in (None, mailbox.uidvalidity) or mailbox.index(url.uid) < 0:
        raise _Closed
    async for page, rows in mailbox.pages([url.uid]):
        asked = "BODYPARTSTRUCTURE" in wanted.items
        whole = structures_for([page.structures[rows[0]]], rev2=session.enabled.rev2)[0]
        structure = part_structure(whole, section.path) if asked else b""
        if structure is None or span(section, page, rows[0]) is None:
            break
        if wanted.items == {"BODYPARTSTRUCTURE"}:
            session.send(_extended(wanted, structure, ()))
            return
        await _send_data(session, account, page, rows[0], section, wanted, structure)
        return
    raise _Closed


async def _send_data(
    session: Session, account: Account, page: Page, row: int, section: Section, wanted: UrlWanted, structure: bytes
) -> None:
    async with aclosing(PageSections([section], page, [row]).read(account, session.services.budget)) as values:
        async for value in values:
            if isinstance(value, MailError) and not isinstance(value, UnknownCte):
                raise value
            data = None if isinstance(value, MailError) else value[0]
            if not wanted.items:
                session.send([b"* URLFETCH %b" % wire.string(wanted.url), *section.wire(data), b"\r\n"])
            else:
                if structure and data is not None and section.form and section.path and not section.what:
                    structure = decoded_structure(structure, data)
                session.send(_extended(wanted, structure, section.wire(data)))
            await session.drained()


def _extended(wanted: UrlWanted, structure: bytes, value: Sequence[bytes]) -> list[bytes]:
    """RFC 5524 §5 urldata-ext: parentheses around each."""
    out = [b"* URLFETCH %b" % wire.string(wanted.url)]
    if "BODYPARTSTRUCTURE" in wanted.items:
        out.append(b" (BODYPARTSTRUCTURE %b)" % structure)
    if value:
        out += (b" (BINARY" if "BINARY" in wanted.items else b" (BODY", *value, b")")
    return [*out, b"\r\n"]
