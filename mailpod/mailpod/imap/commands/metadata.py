"""GETMETADATA and SETMETADATA (RFC 5464 §4.2, §4.3).

Invariants: all entries of a command are set in one commit, or none. No pod writes what another of the domain could not
read: asked of the domain's entry at each SETMETADATA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mailpod.errors import CannotDo, MailError, NoSuchMailbox, Unavailable, UseNotPossible
from mailpod.imap.annotations import SPECIAL_USE, chosen, of_mailbox, of_server, values
from mailpod.imap.commands.create import USES
from mailpod.imap.reply import Done

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax_metadata import GetMetadataArgs, SetMetadataArgs

OPERATION: Final = "annotate"  # store/ops.py


class TooLong(MailError):
    """RFC 5464 §4.3: a value is longer than `most` octets."""

    text = "The value is too long"

    def __init__(self, most: int) -> None:
        super().__init__()
        self.imap = ("NO", f"METADATA MAXSIZE {most}")


async def run_get(session: Session, args: GetMetadataArgs) -> Done:
    """Raises NoSuchMailbox, Unavailable."""
    await session.account.refresh()
    name, there = "", of_server(session)
    if args.mailbox:
        mailbox = session.account.mailbox(args.mailbox)
        name, there = mailbox.name, of_mailbox(mailbox)
    told, longest = chosen(there, args.entries)
    if told:
        session.send(values(name, told, session.enabled.utf8_names))
    return Done(b"METADATA LONGENTRIES %d" % longest if longest else None)


async def run_set(session: Session, args: SetMetadataArgs) -> None:
    """Raises NoSuchMailbox, CannotDo, UseNotPossible, TooLong, TooManyAnnotations, Unavailable."""
    await _check_readable(session)
    most = session.services.settings.store.annotation_bytes
    entries: list[tuple[str, str | None]] = []
    for name, value in args.entries:
        if not args.mailbox and name.startswith("/shared/"):
            raise CannotDo("What all users of the server share is not set by them")  # RFC 5464 §3.3
        if value is not None and len(value) > most:
            raise TooLong(most)
        if name == SPECIAL_USE:
            _check_use(args.mailbox, value)
        entries.append((name, None if value is None else value.decode("latin-1")))
    await session.account.annotate(args.mailbox, entries)


async def _check_readable(session: Session) -> None:
    domain = await session.services.directory.domain(session.identity.entry.domain)
    if domain is None or OPERATION not in domain.reads:
        raise Unavailable("Annotations can be set when all pods are of this version, try again later")


def _check_use(mailbox: str, value: bytes | None) -> None:
    """RFC 6154 §4: what CREATE checks. An empty list is none."""
    if not mailbox:
        raise NoSuchMailbox("")
    if value and value.decode("latin-1") not in USES:
        raise UseNotPossible("A mailbox can have one of the uses " + " ".join(sorted(USES)))
