"""URLFETCH (RFC 4467 §7, RFC 5524).

- What a URL does not open is NIL, whatever the reason (authorized.py).
- A URL is read with its owner's access, in the owner's newest state: a key that any pod reset opens nothing here.
- One URL after the other: what one opens is read within the pod's budget, and on its way before the next is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from mailpod.errors import Damaged, Expunged, MailError
from mailpod.imap import wire
from mailpod.imap.authorized import Closed, named, opened
from mailpod.imap.fetchbody import PageSections, UnknownCte
from mailpod.imap.places import account_of
from mailpod.imap.sections import Section, span
from mailpod.mime.partstructure import decoded_structure, part_structure
from mailpod.mime.revisions import structures_for

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax_urlauth import UrlFetchArgs, UrlWanted
    from mailpod.store import Account, Page


async def run(session: Session, args: UrlFetchArgs) -> None:
    """Raises Unavailable."""
    for wanted in args.urls:
        try:
            await _fetch(session, wanted)
        except (Closed, Expunged, Damaged):
            session.send(b"* URLFETCH %b NIL\r\n" % wire.string(wanted.url))
        await session.drained()


async def _fetch(session: Session, wanted: UrlWanted) -> None:
    """Raises Closed, Expunged and Damaged before anything was sent; Unavailable."""
    url = named(session.services, wanted.url)
    now = session.services.clock.now()
    if url.owner is None or not url.authorization.permits(session.identity.address, now):
        raise Closed
    section = replace(url.section, form="binary") if "BINARY" in wanted.items else url.section
    async with account_of(session.services, session.identity.entry, url.owner) as found:
        account, mailbox = opened(found, url)
        async for page, rows in mailbox.pages([url.url.uid]):
            await _answer(session, account, page, rows[0], section, wanted)
            return
    raise Closed


async def _answer(
    session: Session, account: Account, page: Page, row: int, section: Section, wanted: UrlWanted
) -> None:
    asked = "BODYPARTSTRUCTURE" in wanted.items
    structure = part_structure(page.structures[row], section.path) if asked else b""
    if structure is None or span(section, page, row) is None:
        raise Closed
    [structure] = structures_for([structure], rev2=session.enabled.rev2)
    if wanted.items == {"BODYPARTSTRUCTURE"}:
        session.send(_extended(wanted, structure, ()))
    else:
        await _send_data(session, account, page, row, section, wanted, structure)


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
