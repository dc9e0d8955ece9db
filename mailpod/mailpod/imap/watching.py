"""What a client is told of mailboxes other than the selected one, and of names and annotations (RFC 5465 §5). No I/O.

Invariants
- A client knows what `_boxes`, `_subscribed` and `_server` say; `poll` tells what differs from the account as it is, so
  that however many commits lie between, what it knows in the end is what is so. Nothing is queued.
- The entry of the selected mailbox stands still: its messages are the view's to tell. What differs when it is no longer
  selected is told then.
- Nothing happened while the account's head stands still: a poll costs two comparisons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mailpod.imap.annotations import SPECIAL_USE, names
from mailpod.imap.commands import listing, status
from mailpod.imap.names import DELIMITER, order
from mailpod.imap.places import own_mailboxes
from mailpod.imap.syntax import ListArgs
from mailpod.imap.syntax_notify import EventGroup

if TYPE_CHECKING:
    from mailpod.imap.session import Session
    from mailpod.store import Account, Mailbox

ANNOTATIONS: Final = (EventGroup("PERSONAL", (), frozenset(("MAILBOXMETADATACHANGE", "SERVERMETADATACHANGE"))),)
_JUNK: Final = "\\Junk"
_LIST: Final = ListArgs("", (), returns=frozenset(("SUBSCRIBED", "SPECIAL-USE", "CHILDREN")), extended=True)


@dataclass(slots=True)
class _Told:
    name: str
    annotations: Mapping[str, str]
    use: str | None
    uidnext: int = 1
    exists: int = 0
    modseq: int = 0

    def take(self, box: Mailbox) -> None:
        self.uidnext, self.exists, self.modseq = box.uidnext, box.exists, box.highest_modseq


@dataclass(frozen=True, slots=True)
class Own:
    """A change of this client's own, of which it is not told (RFC 5465 §5): its event, the name, whether that is there
    afterwards, and the annotations."""

    event: str
    name: str
    there: bool = True
    entries: frozenset[str] = frozenset()


class Watch:
    """One session's. `groups` are NOTIFY's."""

    __slots__ = ("_account", "_boxes", "_groups", "_head", "_selected", "_server", "_session", "_subscribed")

    def __init__(self, session: Session, groups: tuple[EventGroup, ...]) -> None:
        self._session = session
        self._account: Account = session.account
        self._groups = groups
        self._head = self._account.head
        self._selected = _id(session)
        self._subscribed = frozenset(self._account.subscriptions)
        self._server = self._account.annotations
        self._boxes: dict[int, _Told] = {}
        for box in self._account.mailboxes.values():
            self._boxes[box.id] = told = _Told(box.name, box.annotations, box.special_use)
            told.take(box)

    def add_annotations(self) -> None:
        self._groups += ANNOTATIONS

    def events(self, name: str, subscribed: bool = False) -> frozenset[str]:
        """What is told of a name; `subscribed`: as if it were. A group without events is told nothing of at all."""
        found = [group.events for group in self._groups if self._covers(group, name, subscribed)]
        return frozenset().union(*found) if all(found) else frozenset()

    def _covers(self, group: EventGroup, name: str, subscribed: bool) -> bool:
        match group.mailboxes:
            case "PERSONAL":
                return True
            case "INBOXES":  # RFC 5465 §6.3: where mail is delivered to
                box = self._account.mailboxes.get(name)
                return name == "INBOX" or (box is not None and box.special_use == _JUNK)
            case "SUBSCRIBED":
                return subscribed or name in self._account.subscriptions
            case "SUBTREE":
                return any(name == top or name.startswith(top + DELIMITER) for top in group.names)
            case _:
                return name in group.names

    def watched(self) -> list[Mailbox]:
        """Mailboxes whose messages are told of by STATUS."""
        selected = _id(self._session)
        boxes = sorted(self._account.mailboxes.values(), key=lambda box: order(box.name))
        return [box for box in boxes if box.id != selected and "MESSAGENEW" in self.events(box.name)]

    def state(self, box: Mailbox) -> bytes:
        """The STATUS with which NOTIFY SET STATUS begins (RFC 5465 §3.1)."""
        flags = "FLAGCHANGE" in self.events(box.name)
        items = ["MESSAGES", "UIDNEXT", "UIDVALIDITY", *(("UNSEEN", "HIGHESTMODSEQ") if flags else ())]
        return status.response(self._session, box, items)

    def poll(self, own: Own | None = None) -> list[bytes]:
        """Responses for what changed since the last one, but for `own`."""
        selected = _id(self._session)
        if self._head == self._account.head and self._selected == selected:
            return []
        self._head, self._selected = self._account.head, selected
        boxes = {box.id: box for box in self._account.mailboxes.values()}
        lists = list(self._names(boxes, own))
        known = {name for name, _ in lists}
        lists += ((name, "") for name in self._subscriptions(own) if name not in known)
        out = [self._list(name, old) for name, old in lists]
        out += self._annotations(boxes, own)
        out += self._messages(boxes, selected)
        self._remember(boxes, selected)
        return out

    def _remember(self, boxes: Mapping[int, Mailbox], selected: int) -> None:
        for gone in self._boxes.keys() - boxes.keys():
            del self._boxes[gone]
        for box in boxes.values():
            told = self._boxes.setdefault(box.id, _Told(box.name, box.annotations, box.special_use))
            told.name, told.annotations, told.use = box.name, box.annotations, box.special_use
            if box.id != selected:
                told.take(box)
        self._subscribed = frozenset(self._account.subscriptions)
        self._server = self._account.annotations

    # RFC 5465 §5.4

    def _names(self, boxes: Mapping[int, Mailbox], own: Own | None) -> Iterator[tuple[str, str]]:
        """Names whose mailboxes went, were renamed or came, with the old name of those renamed.

        In this order, a client that moves what it knows along with each name knows in the end what is so.
        """
        went = [told.name for number, told in self._boxes.items() if number not in boxes]
        came = [box.name for box in boxes.values() if box.id not in self._boxes]
        near = (name.rpartition(DELIMITER)[0] for name in (*went, *came) if DELIMITER in name)  # direct parents, too
        yield from ((name, "") for name in went if self._names_wanted(name, own))
        renamed = ((told.name, boxes[number].name) for number, told in self._boxes.items() if number in boxes)
        for old, new in _in_order({old: new for old, new in renamed if old != new}):
            wanted = self.events(old) | self.events(new)
            if "MAILBOXNAME" in wanted and not self._is_own(own, "MAILBOXNAME", new):
                yield new, old
        yield from ((name, "") for name in dict.fromkeys((*came, *near)) if self._names_wanted(name, own))

    def _names_wanted(self, name: str, own: Own | None) -> bool:
        return "MAILBOXNAME" in self.events(name) and not self._is_own(own, "MAILBOXNAME", name)

    def _is_own(self, own: Own | None, event: str, name: str) -> bool:
        """Whether the name is as this client's own command left it."""
        if own is None or own.event != event or own.name != name:
            return False
        there = self._account.subscriptions if event == "SUBSCRIPTIONCHANGE" else self._account.mailboxes
        return (name in there) == own.there

    # RFC 5465 §5.5

    def _subscriptions(self, own: Own | None) -> Iterator[str]:
        for name in sorted(self._subscribed ^ self._account.subscriptions):
            if "SUBSCRIPTIONCHANGE" in self.events(name, subscribed=True) and not self._is_own(
                own, "SUBSCRIPTIONCHANGE", name
            ):
                yield name

    def _list(self, name: str, old: str) -> bytes:
        utf8 = self._session.enabled.utf8_names
        attributes = listing.Listing(own_mailboxes(self._session), self._account.subscriptions, _LIST, utf8).attributes(
            name
        )
        return listing.line(b"LIST", attributes, name, old=old, utf8=utf8)

    # RFC 5465 §5.6 and §5.7; RFC 5464 §4.4.2: names without values

    def _annotations(self, boxes: Mapping[int, Mailbox], own: Own | None) -> Iterator[bytes]:
        if self._server is not self._account.annotations and self._wants_server():
            changed = _changed(self._server, self._account.annotations)
            yield from self._changes("", changed, own)
        for box in boxes.values():
            told = self._boxes.get(box.id) or _Told(box.name, {}, box.special_use)
            if told.annotations is box.annotations and told.use == box.special_use:
                continue
            changed = _changed(told.annotations, box.annotations)
            changed |= {SPECIAL_USE} if told.use != box.special_use else set()
            if "MAILBOXMETADATACHANGE" in self.events(box.name):
                yield from self._changes(box.name, changed, own)

    def _wants_server(self) -> bool:
        return any("SERVERMETADATACHANGE" in group.events for group in self._groups)

    def _changes(self, name: str, changed: set[str], own: Own | None) -> Iterator[bytes]:
        mine = own.entries if own is not None and own.name == name else frozenset()
        if told := sorted(changed - mine):
            yield names(name, told, self._session.enabled.utf8_names)

    # RFC 5465 §5.1 to §5.3, of mailboxes that are not selected

    def _messages(self, boxes: Mapping[int, Mailbox], selected: int) -> Iterator[bytes]:
        names = {told.name for told in self._boxes.values()}
        for box in boxes.values():
            told = self._boxes.get(box.id) or _Told("", {}, None, modseq=box.highest_modseq)
            counts = (told.uidnext, told.exists) != (box.uidnext, box.exists)
            counts = counts or (box.name != told.name and box.name in names)  # what was there of that name is no more
            if box.id == selected or not (counts or told.modseq != box.highest_modseq):
                continue
            wanted = self.events(box.name)
            flags = "FLAGCHANGE" in wanted
            if (counts and "MESSAGENEW" in wanted) or flags:
                yield status.response(self._session, box, self._items(counts, flags))

    def _items(self, counts: bool, flags: bool) -> Iterator[str]:
        """UIDVALIDITY always: a mailbox may have gone, and another have come under its name."""
        yield from ("MESSAGES", "UIDNEXT") if counts else ()
        yield "UIDVALIDITY"
        yield from ("UNSEEN",) if flags else ()
        yield from ("HIGHESTMODSEQ",) if self._session.enabled.condstore else ()


def _id(session: Session) -> int:
    """0: none of the user's own."""
    view = session.selected
    return view.mailbox.id if view is not None and view.access.who is None else 0


def _in_order(renamed: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Old names and new ones, without what a mailbox above took along (RFC 5465 §5.4): what is below first, and no name
    before the one that had it went. Two that changed places have new names only."""
    pending = {old: new for old, new in renamed.items() if not _moved_along(old, new, renamed)}
    while pending:
        free = [old for old, new in pending.items() if new not in pending]
        if not free:
            yield from (("", new) for new in pending.values())
            return
        old = max(free, key=lambda name: name.count(DELIMITER))
        yield old, pending.pop(old)


def _moved_along(old: str, new: str, renamed: Mapping[str, str]) -> bool:
    above = old
    while DELIMITER in above:
        above = above.rpartition(DELIMITER)[0]
        if above in renamed and new == renamed[above] + old[len(above) :]:
            return True
    return False


def _changed(old: Mapping[str, str], new: Mapping[str, str]) -> set[str]:
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
