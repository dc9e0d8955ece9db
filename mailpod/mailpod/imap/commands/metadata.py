"""GETMETADATA and SETMETADATA (RFC 5464 §4.2, §4.3).

Invariants: all entries of a command are set in one commit, or none. Of another's mailbox nobody sees or sets what is
private, and rights are asked for again on the state that the commit follows. No pod writes what another of the domain
could not read: asked of the domain's entry at each SETMETADATA.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from mailpod.errors import CannotDo, MailError, NoPermission, NoSuchMailbox, Unavailable, UseNotPossible
from mailpod.imap.annotations import SPECIAL_USE, chosen, may_annotate, of_mailbox, of_server, values
from mailpod.imap.commands.create import USES
from mailpod.imap.grammar_flags import spelled
from mailpod.imap.grammar_metadata import TooLong
from mailpod.imap.places import opened
from mailpod.imap.reply import Done

if TYPE_CHECKING:
    from mailpod.imap.places import Place
    from mailpod.imap.session import Session
    from mailpod.imap.syntax_metadata import Entries, GetMetadataArgs, SetMetadataArgs
    from mailpod.store import Guard
    from mailpod.store.state import State

OPERATION: Final = "annotate"  # store/ops.py


class NoPrivate(MailError):
    """RFC 5464 §4.3."""

    imap = ("NO", "METADATA NOPRIVATE")
    text = "A mailbox of another user has no private annotations"


async def run_get(session: Session, args: GetMetadataArgs) -> Done:
    """Raises NoSuchMailbox, NoPermission, Unavailable."""
    if not args.mailbox:
        await session.account.refresh()
        return _answer(session, "", of_server(session), args.entries)
    async with opened(session, args.mailbox, fresh=True) as place:
        mailbox = place.mailbox("l")
        if not may_annotate(mailbox, place.access):
            raise NoPermission
        name = place.access.shown + mailbox.name
        return _answer(session, name, of_mailbox(mailbox, place.access), args.entries)


def _answer(session: Session, name: str, there: Mapping[str, str], wanted: Entries) -> Done:
    told, longest = chosen(there, wanted)
    if told:
        session.send(values(name, told, session.enabled.utf8_names))
    return Done(b"METADATA LONGENTRIES %d" % longest if longest else None)


async def run_set(session: Session, args: SetMetadataArgs) -> None:
    """Raises NoSuchMailbox, CannotDo, UseNotPossible, TooLong, TooManyAnnotations, NoPrivate, NoPermission."""
    await _check_readable(session)
    most = session.services.settings.store.annotation_bytes
    entries: list[tuple[str, str | None]] = []
    for name, value in args.entries:
        if not args.mailbox and name.startswith("/shared/"):
            raise CannotDo("What all users of the server share is not set by them")  # RFC 5464 §3.3
        if value is not None and len(value) > most:
            raise TooLong(most)
        text = None if value is None else value.decode("latin-1")
        entries.append((name, _use(args.mailbox, text) if name == SPECIAL_USE else text))
    if not args.mailbox:
        await session.account.annotate("", entries)
        return
    async with opened(session, args.mailbox) as place:
        if not place.own:
            _check_shared(place, entries)
        await place.account.annotate(place.name, entries, guard=_guard(place))


def _check_shared(place: Place, entries: Sequence[tuple[str, str | None]]) -> None:
    """RFC 5464 §4.3: what would be this user's alone cannot be kept in the owner's account."""
    if any(name.startswith("/private/") for name, _ in entries):
        if not may_annotate(place.mailbox("l"), place.access):
            raise NoPermission
        raise NoPrivate


def _guard(place: Place) -> Guard | None:
    """For the commit: as may_annotate."""
    if place.own:
        return None

    def check(state: State) -> None:
        box = state.find(place.name)
        place.access.check(box, "l", place.name)
        if box is None or not may_annotate(box, place.access):
            raise NoPermission

    return check


async def _check_readable(session: Session) -> None:
    domain = await session.services.directory.domain(session.identity.entry.domain)
    if domain is None or OPERATION not in domain.reads:
        raise Unavailable("Annotations can be set when all pods are of this version, try again later")


def _use(mailbox: str, value: str | None) -> str | None:
    """RFC 6154 §4: as it is kept, if it is what CREATE would take. An empty list is none."""
    if not mailbox:
        raise NoSuchMailbox("")
    uses = dict.fromkeys(map(spelled, value.split(" "))) if value else {}
    if len(uses) > 1 or not USES.issuperset(uses):
        raise UseNotPossible("A mailbox can have one of the uses " + " ".join(sorted(USES)))
    return next(iter(uses), value)
