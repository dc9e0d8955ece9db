"""Who may do what in a mailbox: RFC 4314's rights, as the owner's log has them.

- The owner has every right, whatever the list says; `Access(None)` is the owner.
- A grant is to an account, not to its address: whoever gets the address later has another incarnation, and no right.
- Rights of `anyone` and of one's own add up (RFC 4314 §2 leaves it to the server).
- A mailbox that somebody may not look up is, to them, not there: one answer for both (RFC 4314 §6).
- What changes something is checked on the state that its commit follows: no change lands after its right was taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from ..errors import NoPermission, NoSuchMailbox

if TYPE_CHECKING:
    from .mailbox import Mailbox
    from .state import State

RIGHTS: Final = "lrswipkxtea"  # RFC 4314 §2.1
ANYONE: Final = "anyone"
_ANY: Final = "lrikxa"
_FLAGS: Final = {"\\seen": "s", "\\deleted": "t"}

Guard: TypeAlias = "Callable[[State], None]"


@dataclass(frozen=True, slots=True)
class Who:
    """An account, as lists of rights name it."""

    address: str
    incarnation: str


@dataclass(frozen=True, slots=True)
class Access:
    """What `who` may do in an account's mailboxes; None is its owner. `shown` is put before names in errors."""

    who: Who | None = None
    shown: str = ""

    def rights(self, box: Mailbox) -> str:
        """In the order of RIGHTS."""
        if self.who is None:
            return RIGHTS
        given = box.acl.get(ANYONE, ("", ""))[1]
        incarnation, own = box.acl.get(self.who.address, ("", ""))
        if incarnation == self.who.incarnation:
            given += own
        return ordered(given)

    def may(self, box: Mailbox, right: str) -> bool:
        return self.who is None or right in self.rights(box)

    def allowed(self, box: Mailbox, flags: Iterable[str]) -> tuple[str, ...]:
        """Those of `flags` that may be set or cleared (RFC 4314 §4)."""
        if self.who is None:
            return tuple(flags)
        given = self.rights(box)
        return tuple(flag for flag in flags if right_of(flag) in given)

    def check(self, box: Mailbox | None, needed: str, name: str) -> None:
        """Raises NoPermission, or NoSuchMailbox where the mailbox may not even be looked up. Nothing
        needed is RFC 4314 §4's `Any`."""
        given = "" if box is None else self.rights(box)
        if set(needed) <= set(given) if needed else set(_ANY) & set(given):
            return
        if "l" in given:
            raise NoPermission
        raise NoSuchMailbox(self.shown + name)

    def guard(self, name: str, needed: str) -> Guard | None:
        """For a commit that changes the mailbox `name`."""
        if self.who is None:
            return None
        return lambda state: self.check(state.find(name), needed, name)

    def guard_box(self, mailbox: Mailbox, needed: str) -> Guard | None:
        """As `guard`, of a mailbox that may have another name by then."""
        if self.who is None:
            return None
        return lambda state: self.check(state.boxes.get(mailbox.id), needed, mailbox.name)


def ordered(rights: Iterable[str]) -> str:
    given = set(rights)
    return "".join(right for right in RIGHTS if right in given)


def right_of(flag: str) -> str:
    """RFC 4314 §4: what setting or clearing a flag needs."""
    return _FLAGS.get(flag.lower(), "w")


def rights_for(flags: Iterable[str]) -> str:
    return ordered(map(right_of, flags))


def every(*guards: Guard | None) -> Guard | None:
    """All of them."""
    given = [guard for guard in guards if guard is not None]

    def check(state: State) -> None:
        for guard in given:
            guard(state)

    return check if given else None


def nearest_above(state: State, name: str) -> Mailbox | None:
    """RFC 4314 §4: the nearest existing parent, whose `k` CREATE and RENAME need."""
    while "/" in name:
        name = name.rpartition("/")[0]
        if (box := state.find(name)) is not None:
            return box
    return None
