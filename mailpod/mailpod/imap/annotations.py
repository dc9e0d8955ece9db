"""Annotations as clients see them (RFC 5464): those of the log, and those that the server makes. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from mailpod.imap import wire

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.imap.syntax_metadata import Entries
    from mailpod.store import Access, Mailbox

SPECIAL_USE: Final = "/private/specialuse"
_ADMIN: Final = "/shared/admin"


def of_server(session: Session) -> dict[str, str]:
    """What stands under the name ""."""
    made = dict(session.account.annotations)
    # RFC 5464 §6.2.2: a URI. RFC 2142 §5: postmaster@ reaches whom the MailDomain names
    made[_ADMIN] = f"mailto:postmaster@{session.identity.entry.domain}"
    return made


def of_mailbox(mailbox: Mailbox, access: Access | None = None) -> dict[str, str]:
    """With the special use (RFC 6154 §4). Of another's mailbox only what is shared, where `access` allows it."""
    if access is not None and access.who is not None:
        shared = mailbox.annotations.items() if may_annotate(mailbox, access) else ()
        return {name: value for name, value in shared if name.startswith("/shared/")}
    if mailbox.special_use is None:
        return mailbox.annotations
    return mailbox.annotations | {SPECIAL_USE: mailbox.special_use}


def may_annotate(mailbox: Mailbox, access: Access) -> bool:
    """RFC 5464 §3.3: to read annotations, and to set them."""
    return access.may(mailbox, "l") and any(access.may(mailbox, right) for right in "rswip")


def chosen(there: Mapping[str, str], wanted: Entries) -> tuple[list[tuple[str, str | None]], int]:
    """What is told of `there`, and the length of the longest value that MAXSIZE keeps back, or 0.

    A name that was asked for itself is told as NIL where nothing has it, as in RFC 6154 §5.4's and RFC 9590's examples;
    not where what is below it was asked for, too (RFC 5464 §4.2.2: "if it exists", and its example).
    """
    found = {name: there.get(name) for name in wanted.names if name in there or (wanted.depth == 0 and _named(name))}
    found |= {name: value for name, value in there.items() if any(_below(name, top, wanted) for top in wanted.names)}
    most = wanted.most
    long = [len(value) for value in found.values() if most is not None and value is not None and len(value) > most]
    told = [(name, value) for name, value in found.items() if most is None or value is None or len(value) <= most]
    return told, max(long, default=0)


def _named(name: str) -> bool:
    """Not /private or /shared alone."""
    return name.count("/") > 1


def _below(name: str, top: str, wanted: Entries) -> bool:
    """RFC 5464 §4.2.2."""
    if wanted.depth == 0 or not name.startswith(top + "/"):
        return False
    return wanted.depth is None or "/" not in name[len(top) + 1 :]


def values(name: str, told: Sequence[tuple[str, str | None]], utf8: bool) -> bytes:
    """`* METADATA name (entry value …)`."""
    pairs = (b"%b %b" % (wire.astring(entry.encode("ascii")), _value(value)) for entry, value in told)
    return b"* METADATA %b %b\r\n" % (wire.mailbox(name, utf8), wire.parenthesized(pairs))


def annotations_of(name: str, mailbox: Mailbox, access: Access, wanted: Entries, utf8: bool) -> tuple[bytes, int]:
    """The response for a mailbox, b"" for none, and the length of the longest value that is kept back."""
    told, longest = chosen(of_mailbox(mailbox, access), wanted)
    return values(name, told, utf8) if told else b"", longest


def names(name: str, changed: Iterable[str], utf8: bool) -> bytes:
    """`* METADATA name entry …`: what changed, without values (RFC 5464 §4.4.2)."""
    return b"* METADATA %b %b\r\n" % (
        wire.mailbox(name, utf8),
        b" ".join(wire.astring(entry.encode("ascii")) for entry in changed),
    )


def _value(value: str | None) -> bytes:
    if value is not None and "\0" in value:
        return b"~{%d}\r\n%b" % (len(value), value.encode("latin-1"))  # RFC 3516 §4.4: only a literal8 has NUL
    return wire.nstring(None if value is None else value.encode("latin-1"))
