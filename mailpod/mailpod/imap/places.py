"""Where the name of a mailbox leads: into the user's own account, or into one that shares it (RFC 2342's Other Users).

- `Other Users/<address>/<name>` is the mailbox `<name>` of another account of the same domain. A mailbox of one's own
  that has such a name, from before there was sharing, is meant first: nothing becomes unreachable.
- An owner who does not exist, is suspended, closed, of another domain or shares nothing: one answer for all.
- Others' accounts are looked at whenever they are named: rights are as of the command, and no older. They are held only
  while a command runs, or while their mailbox is selected.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mailpod.errors import AccountClosed, AccountMissing, CannotDo, NoPermission, NoSuchMailbox, TryCreate, Unavailable
from mailpod.imap.names import DELIMITER, canonical
from mailpod.store import Access, Guard, Limits, Who
from mailpod.store.rights import nearest_above

if TYPE_CHECKING:
    from mailpod.directory import MailboxEntry
    from mailpod.imap.session import Session
    from mailpod.services import Services
    from mailpod.store import Account, Mailbox
    from mailpod.store.state import State

OTHERS: Final = "Other Users"
_PREFIX: Final = OTHERS + DELIMITER
_AT_ONCE: Final = 8  # owners looked at


@dataclass(frozen=True, slots=True)
class Place:
    """A name in an account, whether or not there is such a mailbox. `owner` is the account's entry."""

    account: Account
    owner: MailboxEntry
    name: str
    access: Access

    @property
    def own(self) -> bool:
        return self.access.who is None

    @property
    def shown(self) -> str:
        """As the client names it."""
        return self.access.shown + self.name

    def mailbox(self, needed: str) -> Mailbox:
        """Raises NoSuchMailbox, also where it may not be looked up, and NoPermission where a right is missing."""
        if self.own:
            return self.account.mailbox(self.name)
        box = self.account.log.served.find(self.name)
        self.access.check(box, needed, self.name)
        assert box is not None
        return box

    def target(self) -> Mailbox:
        """What messages are put into. Raises as `mailbox`, and TryCreate where CREATE might help (RFC 3501 §6.3.11)."""
        try:
            return self.mailbox("i")
        except NoSuchMailbox:
            if self.own or self._may_create(self.account.log.served):
                raise TryCreate(self.shown) from None
            raise

    @property
    def tells_uids(self) -> bool:
        """RFC 4315 §3: no APPENDUID or COPYUID of what the user may not select."""
        box = self.account.log.served.find(self.name)
        return self.own or (box is not None and self.access.may(box, "r"))

    def guard(self, needed: str) -> Guard | None:
        """For a commit that changes the mailbox of this name."""
        return self.access.guard(self.name, needed)

    def guard_tree(self, needed: str) -> Guard | None:
        """For a commit that changes the mailbox and those below it."""
        if self.own:
            return None

        def check(state: State) -> None:
            top = state.find(self.name)
            self.access.check(top, needed, self.name)
            for name, box in state.names.items():
                below = top is not None and name.startswith(top.name + DELIMITER)
                if below and not all(self.access.may(box, right) for right in needed):
                    raise NoPermission  # also of one that may not be looked up: what was named is there

        return check

    def guard_new(self) -> Guard | None:
        """For a commit that makes a mailbox of this name (RFC 4314 §4): what there is already is not told."""
        if self.own:
            return None

        def check(state: State) -> None:
            there = state.find(self.name)
            if not self._may_create(state) or (there is not None and not self.access.may(there, "l")):
                raise NoPermission

        return check

    def _may_create(self, state: State) -> bool:
        above = nearest_above(state, self.name)
        return above is not None and self.access.may(above, "k")

    @property
    def limits(self) -> Limits:
        """The owner's quota, which the store holds inside the commit."""
        return Limits(bytes=self.owner.quota_bytes, messages=self.owner.quota_messages)


def opened(session: Session, name: str, *, fresh: bool = False) -> AbstractAsyncContextManager[Place]:
    """The place that `name` leads to, held meanwhile. Another's account is fresh; one's own where that is asked for.

    Raises NoSuchMailbox, Unavailable.
    """
    if not fresh and is_own(session, name):
        return nullcontext(own_place(session, name))  # which the session holds anyway
    return _fresh(session, name)


@asynccontextmanager
async def _fresh(session: Session, name: str) -> AsyncIterator[Place]:
    if is_own(session, name):
        await session.account.refresh()
        yield own_place(session, name)
        return
    place = await hold(session, name)
    try:
        yield place
    finally:
        place.account.release()


def check_free(name: str) -> None:
    """Before a mailbox of one's own is made. Raises CannotDo for the name that stands above others'."""
    if name == OTHERS:
        raise CannotDo("This name is for what other users share")


def is_own(session: Session, name: str) -> bool:
    return not name.startswith(_PREFIX) or name in session.account.mailboxes


def own_place(session: Session, name: str) -> Place:
    return Place(session.account, session.identity.entry, name, Access())


async def hold(session: Session, name: str) -> Place:
    """A place in another's account, which the caller releases. Raises NoSuchMailbox, Unavailable."""
    address, _, rest = name.removeprefix(_PREFIX).partition(DELIMITER)
    owner = await _owner(session.services, session.identity.entry, address) if rest else None
    account = await _open(session.services, owner) if owner is not None else None
    if owner is None or account is None:
        raise NoSuchMailbox(name)
    return Place(account, owner, canonical(rest), _access(session, owner))


def _access(session: Session, owner: MailboxEntry) -> Access:
    me = Who(session.identity.address, session.account.ref.incarnation)
    return Access(me, f"{_PREFIX}{owner.address}{DELIMITER}")


async def _owner(services: Services, mine: MailboxEntry, address: str) -> MailboxEntry | None:
    if address == mine.address or address.rpartition("@")[2] != mine.domain:
        return None
    entry = await services.directory.lookup(address)
    return entry if entry is not None and entry.address == address and not entry.suspended else None


async def _open(services: Services, owner: MailboxEntry) -> Account | None:
    """Fresh. None where the account is closed. Raises Unavailable."""
    for past_cache in (False, True):
        try:
            account = await services.store.open(await services.directory.account(owner, fresh=past_cache))
            try:
                await account.refresh()
            except BaseException:
                account.release()
                raise
            return account
        except (AccountClosed, AccountMissing):
            continue
    return None


@asynccontextmanager
async def account_of(services: Services, mine: MailboxEntry, address: str) -> AsyncIterator[Account | None]:
    """The account of a user of `mine`'s domain, fresh and held meanwhile; None where there is none, or it is suspended.

    What of it may be seen is for the caller to know. Raises Unavailable.
    """
    owner = mine if address == mine.address else await _owner(services, mine, address)
    account = await _open(services, owner) if owner is not None else None
    try:
        yield account
    finally:
        if account is not None:
            account.release()


@dataclass(frozen=True, slots=True)
class Listed:
    """A mailbox under the name that the client knows, and what the user may do in it."""

    mailbox: Mailbox
    access: Access

    @property
    def own(self) -> bool:
        return self.access.who is None


def own_mailboxes(session: Session) -> dict[str, Listed]:
    return {name: Listed(mailbox, Access()) for name, mailbox in session.account.mailboxes.items()}


async def shared_mailboxes(session: Session) -> dict[str, Listed]:
    """All of others that the user may look up (RFC 4314 §4). Raises Unavailable: none is silently left out."""
    mine, shares = session.identity.entry, session.services.shares
    waiting = await shares.owners(mine.domain, mine.local)
    found: dict[str, Listed] = {}
    without: list[str] = []

    async def look() -> None:
        while waiting:
            local = waiting.pop()
            listed = await _shared_by(session, f"{local}@{mine.domain}")
            found.update(listed or {})
            if listed == {}:
                without.append(local)

    await asyncio.gather(*(look() for _ in range(min(_AT_ONCE, len(waiting)))))
    await shares.tidy(mine.domain, mine.local, without)
    return dict(found)


async def _shared_by(session: Session, address: str) -> dict[str, Listed] | None:
    """None where the owner's log could not be asked: what it grants may be seen again."""
    try:
        owner = await _owner(session.services, session.identity.entry, address)
    except Unavailable:  # as of one who is suspended: OPERATOR.md rule 34, whose resource is missed
        return None
    account = await _open(session.services, owner) if owner is not None else None
    if owner is None or account is None:
        return None
    try:
        access = _access(session, owner)
        return {
            access.shown + name: Listed(mailbox, access)
            for name, mailbox in account.mailboxes.items()
            if access.may(mailbox, "l")
        }
    finally:
        account.release()


async def sharing(session: Session, names: Collection[str]) -> list[Place]:
    """The accounts of others that these names lead into, each once, for the caller to release. Who shares nothing with
    the user, or is not there, is left out. Raises Unavailable."""
    inside = {name.removeprefix(_PREFIX).partition(DELIMITER)[0] for name in names if not is_own(session, name)}
    if not inside and OTHERS not in names:
        return []
    mine = session.identity.entry
    owners = await session.services.shares.owners(mine.domain, mine.local)
    addresses = {f"{local}@{mine.domain}" for local in owners}
    found: list[Place] = []
    try:
        for address in sorted(addresses if OTHERS in names else addresses & inside):
            with suppress(NoSuchMailbox):
                found.append(await hold(session, f"{_PREFIX}{address}{DELIMITER}INBOX"))
    except BaseException:
        release(found)
        raise
    return found


def release(places: Iterable[Place]) -> None:
    """Each is held once."""
    for place in places:
        place.account.release()


def keep(session: Session, place: Place, mailbox: Mailbox) -> Callable[[], None]:
    """A mailbox of another is selected: the session ends when the owner's account does, or its right to read. What is
    returned undoes that, and releases the account."""
    services, account = session.services, place.account

    def look() -> None:
        if not mailbox.deleted and not place.access.may(mailbox, "r"):
            session.shut_out()
        elif session.notified is not None:
            session.news()

    undo: Collection[Callable[[], None]] = (
        account.watch(look),
        services.followers.follow(account, services.settings.imap.idle_refresh_seconds),
        services.registry.add_guest(session, place.owner),
        account.release,
    )

    def close() -> None:
        for each in undo:
            each()

    return close
