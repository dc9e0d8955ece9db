"""GETACL, SETACL, DELETEACL, LISTRIGHTS and MYRIGHTS (RFC 4314).

- The owner has every right in each mailbox, always; it is in no list and cannot be taken.
- There are no negative rights (RFC 4314 §2: servers need not have them): an identifier that begins with `-` is refused.
- Identifiers are addresses of accounts of the same domain, and `anyone`, who is everybody of it.
- The hint by which they find what is shared is there before the commit that shares it (store/shares.py).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from mailpod.addresses import normalize
from mailpod.errors import CannotDo, MailError, Unavailable
from mailpod.imap import wire
from mailpod.imap.lexer import BadCommand
from mailpod.imap.places import Place, opened
from mailpod.store import ANYONE, RIGHTS, Who

if TYPE_CHECKING:
    from mailpod.directory import MailboxEntry
    from mailpod.imap.session import Session
    from mailpod.imap.syntax import AclArgs, MailboxArgs

# RFC 4314 §2.1.1: c stands for k and x, d for t and e, as RFC 2086's clients mean them
_VIRTUAL: Final = {"c": "kx", "d": "te"}


class NoSuchUser(MailError):
    """RFC 4314 §3.1: can't set acl."""

    imap = ("NO", "CANNOT")
    text = "There is no such user in this domain"


async def run_get(session: Session, args: MailboxArgs) -> None:
    """Raises NoSuchMailbox, NoPermission, Unavailable."""
    async with opened(session, args.mailbox, fresh=True) as place:
        box = place.mailbox("a")
        pairs = [(place.owner.address, RIGHTS), *((who, rights) for who, (_, rights) in sorted(box.acl.items()))]
        words = [b"%b %b" % (wire.astring(who.encode()), shown(rights)) for who, rights in pairs]
        session.send(b"* ACL %b %b\r\n" % (_name(session, place), b" ".join(words)))


async def run_set(session: Session, args: AclArgs) -> None:
    """Raises NoSuchMailbox, NoPermission, NoSuchUser, CannotDo, LimitReached, Unavailable; BadCommand for rights that
    are none."""
    sign, rights = (args.rights[:1], args.rights[1:]) if args.rights[:1] in ("+", "-") else ("", args.rights)
    given = expanded(rights)
    async with opened(session, args.mailbox, fresh=True) as place:
        place.mailbox("a")
        who = await _who(session, place, args.identifier)
        if who is None:
            if sign == "+" or set(given) == set(RIGHTS):
                return  # the owner has them
            raise CannotDo("The owner of a mailbox has all rights")
        await _check_readers(session, place)
        grant = partial(place.account.grant, place.name, who, _change(sign, given), guard=place.guard("a"))
        if given and sign != "-":
            local = None if who.address == ANYONE else normalize(who.address).local
            await session.services.shares.announced(place.owner.domain, local, place.owner.local, grant)
        else:
            await grant()


def _change(sign: str, given: str) -> Callable[[str], str]:
    if sign == "+":
        return lambda before: before + given
    if sign == "-":
        return lambda before: "".join(right for right in before if right not in given)
    return lambda before: given


async def run_delete(session: Session, args: AclArgs) -> None:
    """Raises NoSuchMailbox, NoPermission, CannotDo, Unavailable. One that is not in the list is no error."""
    async with opened(session, args.mailbox, fresh=True) as place:
        box = place.mailbox("a")
        try:
            address = _canonical(args.identifier)
        except NoSuchUser:
            return  # RFC 4314 §3.2: any pair for the identifier is removed, and there is none
        if address == place.owner.address:
            raise CannotDo("The owner of a mailbox has all rights")
        if address in box.acl:  # also of one that exists no more
            await _check_readers(session, place)
            who = Who(address, box.acl[address][0])
            await place.account.grant(place.name, who, lambda before: "", guard=place.guard("a"))


async def run_list(session: Session, args: AclArgs) -> None:
    """Raises NoSuchMailbox, NoPermission, NoSuchUser, Unavailable."""
    async with opened(session, args.mailbox, fresh=True) as place:
        place.mailbox("a")
        who = await _who(session, place, args.identifier)
        always, others = (shown(RIGHTS), []) if who is None else (b'""', list(RIGHTS + "cd"))
        words = [wire.astring(args.identifier.encode()), always, *(right.encode() for right in others)]
        session.send(b"* LISTRIGHTS %b %b\r\n" % (_name(session, place), b" ".join(words)))


async def run_my(session: Session, args: MailboxArgs) -> None:
    """Raises NoSuchMailbox, Unavailable."""
    async with opened(session, args.mailbox, fresh=True) as place:
        session.send(my_rights(_name(session, place), place.access.rights(place.mailbox(""))))


def my_rights(name: bytes, rights: str) -> bytes:
    return b"* MYRIGHTS %b %b\r\n" % (name, shown(rights))


def shown(rights: str) -> bytes:
    """RFC 4314 §2.1.1: with c and d where one of their members is there."""
    virtual = "".join(name for name, members in _VIRTUAL.items() if set(members) & set(rights))
    return (rights + virtual).encode() or b'""'


def expanded(rights: str) -> str:
    """Raises BadCommand for what is no right (RFC 4314 §3.1)."""
    out = "".join(_VIRTUAL.get(right, right) for right in rights)
    for right in out:
        if right not in RIGHTS:
            raise BadCommand(f"The {right} right is not supported")
    return out


async def _who(session: Session, place: Place, identifier: str) -> Who | None:
    """None: the owner. Raises NoSuchUser, Unavailable."""
    address = _canonical(identifier)
    if address == ANYONE:
        return Who(ANYONE, "")
    if address == place.owner.address:
        return None
    directory = session.services.directory
    entry: MailboxEntry | None = await directory.lookup(address)
    if entry is None or entry.address != address or entry.domain != place.owner.domain:
        raise NoSuchUser
    return Who(address, (await directory.account(entry)).incarnation)


def _canonical(identifier: str) -> str:
    """RFC 4314 §3: what cannot be an identifier is a BAD. Raises BadCommand, CannotDo."""
    if not identifier.strip() or any(unicodedata.category(char) == "Cc" for char in identifier):
        raise BadCommand("An identifier is an address, or anyone")
    if identifier.startswith("-"):
        raise CannotDo("Negative rights are not supported")
    if identifier.lower() == ANYONE:
        return ANYONE
    try:
        return str(normalize(identifier))
    except ValueError:
        raise NoSuchUser from None


async def _check_readers(session: Session, place: Place) -> None:
    """DECISIONS, "Format". Raises Unavailable."""
    domain = await session.services.directory.domain(place.owner.domain)
    if domain is None or "grant" not in domain.reads:
        raise Unavailable("Mailboxes cannot be shared until all servers are updated")


def _name(session: Session, place: Place) -> bytes:
    return wire.mailbox(place.shown, session.enabled.utf8_names)
