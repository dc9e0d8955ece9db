"""SELECT and EXAMINE (RFC 3501 §6.3.1, §6.3.2; RFC 7162 §3.1.2, §3.2.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mailpod.errors import MailError
from mailpod.imap import resync
from mailpod.imap.commands.listing import Listing, line
from mailpod.imap.enabled import UidRequired
from mailpod.imap.lexer import BadCommand
from mailpod.imap.permanent import FLAG_RIGHTS, flags_line
from mailpod.imap.places import Listed, hold, is_own, keep, own_mailboxes
from mailpod.imap.reply import URL_MECHANISMS, Done
from mailpod.imap.syntax import ListArgs
from mailpod.imap.view import View

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import SelectArgs

_WRITING: Final = frozenset("ie") | FLAG_RIGHTS


async def run_select(session: Session, args: SelectArgs) -> Done:
    """Raises NoSuchMailbox, NoPermission, Unavailable."""
    view = await _open(session, args, read_only=False)
    # RFC 4314 §5.2
    mode = b"READ-WRITE" if _WRITING & set(view.access.rights(view.mailbox)) else b"READ-ONLY"
    return Done(mode, b"SELECT completed")


async def run_examine(session: Session, args: SelectArgs) -> Done:
    """Raises NoSuchMailbox, NoPermission, Unavailable."""
    await _open(session, args, read_only=True)
    return Done(b"READ-ONLY", b"EXAMINE completed")


async def _open(session: Session, args: SelectArgs, read_only: bool) -> View:
    if args.resync is not None and not session.enabled.qresync:
        raise BadCommand("QRESYNC is not enabled")  # RFC 7162 §3.2.5
    if args.resync is not None and args.resync.numbers is not None and session.enabled.uidonly:
        raise UidRequired  # RFC 9586 §3.2
    session.enabled.condstore = session.enabled.condstore or args.condstore
    # RFC 3501 §6.3.1: the old mailbox is deselected even when the new one cannot be selected
    if session.selected is not None:
        session.selected = None
        session.send(b"* OK [CLOSED] Previous mailbox is closed\r\n")  # RFC 7162 §3.2.11
    view = session.selected = await _view(session, args.mailbox, read_only)
    session.send(_responses(view, session.authorizes and view.access.who is None))
    if session.enabled.rev2:  # RFC 9051 §6.3.2
        listed = own_mailboxes(session) | {view.shown: Listed(view.mailbox, view.access)}
        attributes = Listing(listed, (), ListArgs("", ()), utf8=True).attributes(view.shown)
        session.send(line(b"LIST", attributes, view.shown, utf8=True))
    if args.resync is not None:
        session.send(resync.responses(view, args.resync))
    return view


async def _view(session: Session, name: str, read_only: bool) -> View:
    if is_own(session, name):
        await session.account.refresh()
        return View(session.account, session.account.mailbox(name), read_only, session.enabled)
    place = await hold(session, name)
    try:
        mailbox = place.mailbox("r")
    except MailError:
        place.account.release()
        raise
    return View(place.account, mailbox, read_only, session.enabled, place.access, keep(session, place, mailbox))


def _responses(view: View, authorizes: bool) -> list[bytes]:
    mailbox = view.mailbox
    first_unseen = mailbox.first_unseen()
    out = [flags_line(mailbox), view.sizes()]
    # RFC 9051 App. E and RFC 9586 §3: UNSEEN is a message number, and neither has it
    if first_unseen is not None and not (view.enabled.rev2 or view.enabled.uidonly):
        out.append(b"* OK [UNSEEN %d] First unseen\r\n" % (first_unseen + 1))
    out.append(view.permanent_flags())
    out.append(b"* OK [UIDNEXT %d] Predicted next UID\r\n" % mailbox.uidnext)
    out.append(b"* OK [UIDVALIDITY %d] UIDs are valid\r\n" % mailbox.uidvalidity)
    out.append(b"* OK [MAILBOXID (%b)] Ok\r\n" % mailbox.object_id.encode("ascii"))  # RFC 8474 §4.2
    if authorizes:
        out.append(URL_MECHANISMS)  # RFC 4467 §8: to sessions that nobody listens to, as all are that logged in
    out.append(b"* OK [HIGHESTMODSEQ %d] Highest\r\n" % mailbox.highest_modseq)
    return out
