"""NOTIFY as a value (RFC 5465 §8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailpod.imap.syntax import FetchItem


@dataclass(frozen=True, slots=True)
class EventGroup:
    """`mailboxes` is INBOXES, PERSONAL, SUBSCRIBED, or, with `names`, SUBTREE, SUBTREE-ONE or MAILBOXES. Events are in
    upper case; none: nothing of these mailboxes."""

    mailboxes: str
    names: tuple[str, ...]
    events: frozenset[str]


@dataclass(frozen=True, slots=True)
class SelectedEvents:
    """Of the mailbox that is selected. `delayed`: EXPUNGEs wait for a command. `items` are fetched of new messages."""

    events: frozenset[str]
    delayed: bool = False
    items: tuple[FetchItem, ...] = ()


@dataclass(frozen=True, slots=True)
class NotifyArgs:
    """NOTIFY SET; NONE is without any. `status`: STATUS responses first."""

    selected: SelectedEvents | None = None
    groups: tuple[EventGroup, ...] = ()
    status: bool = False
    none: bool = False
