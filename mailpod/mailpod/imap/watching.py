"""What a client is told of mailboxes other than the selected one, and of names and annotations (RFC 5465 §5). No I/O.

Invariants
- A client knows what `_boxes`, `_subscribed` and `_server` say; `poll` tells what differs from the account as it is, so
  that however many commits lie between, what it knows in the end is what is so. Nothing is queued.
- The entry of the selected mailbox stands still: its messages are the view's to tell. What differs when it is no longer
  selected is told then.
- Nothing happened while the accounts' heads stand still: a poll costs a few comparisons. Where only messages changed,
  it costs no more than their mailboxes, which are found once for all sessions (store/changes.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mailpod.imap.annotations import SPECIAL_USE, names, of_mailbox
from mailpod.imap.commands import listing, status
from mailpod.imap.filters import INBOXES
from mailpod.imap.names import DELIMITER, order
from mailpod.imap.places import Listed, is_own
from mailpod.imap.syntax import ListArgs
from mailpod.imap.syntax_notify import EventGroup
from mailpod.store import Access

if TYPE_CHECKING:
    from mailpod.imap.places import Place
    from mailpod.imap.session import Session
    from mailpod.store import Account, Mailbox

ANNOTATIONS: Final = (EventGroup("PERSONAL", (), frozenset(("MAILBOXMETADATACHANGE", "SERVERMETADATACHANGE"))),)
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
class _Seen:
    """A mailbox that the user may look up, under the name that the client knows. `reads`: its messages, too."""

    name: str
    box: Mailbox
    reads: bool
    annotations: Mapping[str, str]
    use: str | None

    def told(self) -> _Told:
        told = _Told(self.name, self.annotations, self.use)
        told.take(self.box)
        return told


@dataclass(frozen=True, slots=True)
class Own:
    """A change of this client's own, of which it is not told (RFC 5465 §5): its event, the name, whether that is there
    afterwards, and the annotations."""

    event: str
    name: str
    there: bool = True
    entries: frozenset[str] = frozenset()


class Watch:
    """One session's, of one account: the user's own, or one that shares mailboxes. `groups` are NOTIFY's."""

    __slots__ = (
        "_access", "_account", "_boxes", "_groups", "_heads", "_lost", "_selected", "_server", "_session",
        "_subscribed",
    )  # fmt: skip

    def __init__(self, session: Session, groups: tuple[EventGroup, ...], place: Place | None = None) -> None:
        self._session = session
        self._account: Account = session.account if place is None else place.account
        self._access = Access() if place is None else place.access
        self._groups = groups
        self._heads = self._now()
        self._selected = self._id()
        self._subscribed = frozenset(self._session.account.subscriptions)
        self._server = self._account.annotations
        self._boxes = {number: seen.told() for number, seen in self._seen().items()}
        self._lost = set[int]()  # others' mailboxes that were told of, are there, and may not be looked up

    @property
    def own(self) -> bool:
        return self._access.who is None

    def _id(self) -> int:
        """Of the selected mailbox, if it is one of this account's, else 0."""
        view = self._session.selected
        return view.mailbox.id if view is not None and view.account is self._account else 0

    def _now(self) -> tuple[int, int]:
        """The user's own account has the subscriptions."""
        return self._account.head, self._session.account.head

    def anything(self) -> bool:
        """Whether the user may look anything up here."""
        return bool(self._seen())

    def _seen(self, among: Iterable[Mailbox] | None = None) -> dict[int, _Seen]:
        may, shown = self._access.may, self._access.shown
        return {
            box.id: _Seen(
                shown + box.name,
                box,
                may(box, "r"),
                box.annotations if self.own else of_mailbox(box, self._access),
                box.special_use if self.own else None,
            )
            for box in (self._account.mailboxes.values() if among is None else among)
            if may(box, "l")
        }

    def add_annotations(self) -> None:
        self._groups += ANNOTATIONS

    def events(self, name: str, subscribed: bool = False) -> frozenset[str]:
        """What is told of a name; `subscribed`: as if it were. A group without events is told nothing of at all."""
        found = [group.events for group in self._groups if self._covers(group, name, subscribed)]
        return frozenset().union(*found) if all(found) else frozenset()

    def _covers(self, group: EventGroup, name: str, subscribed: bool) -> bool:
        match group.mailboxes:
            case "PERSONAL":
                return self.own and is_own(self._session, name)
            case "INBOXES":
                return self.own and name in INBOXES
            case "SUBSCRIBED":
                return subscribed or name in self._session.account.subscriptions
            case "SUBTREE":
                return any(top in ("", name) or name.startswith(top + DELIMITER) for top in group.names)
            case "SUBTREE-ONE":
                return any(top in (name, name.rpartition(DELIMITER)[0]) for top in group.names)
            case _:
                return name in group.names

    def states(self) -> list[bytes]:
        """The STATUS of each mailbox whose messages are told of: NOTIFY SET STATUS begins with it (RFC 5465 §3.1)."""
        selected = self._id()
        seen = sorted(self._seen().values(), key=lambda each: order(each.name))
        return [
            self._status(each, self._first(self.events(each.name)))
            for each in seen
            if each.box.id != selected and each.reads and "MESSAGENEW" in self.events(each.name)
        ]

    def _first(self, events: frozenset[str]) -> Iterator[str]:
        yield from ("MESSAGES", "UIDNEXT", "UIDVALIDITY")
        yield from ("UNSEEN", "HIGHESTMODSEQ") if "FLAGCHANGE" in events else ()

    def no_access(self) -> Iterator[bytes]:
        """RFC 5465 §3.1: what was asked for and may be looked up, and not be read."""
        for each in self._seen().values():
            if not each.reads and self.events(each.name):
                yield listing.line(b"LIST", [b"\\NoAccess"], each.name, utf8=self._session.enabled.utf8_names)

    def _status(self, seen: _Seen, items: Iterable[str]) -> bytes:
        return status.response(self._session, seen.box, items, self._access.shown)

    def made(self, name: str, uids: Sequence[int]) -> None:
        """The client brought these itself: RFC 5465 §5 wants no STATUS of their mailbox, where nothing else changed."""
        shown = self._access.shown
        box = self._account.mailboxes.get(name.removeprefix(shown)) if name.startswith(shown) else None
        told = self._boxes.get(box.id) if box is not None else None
        if box is None or told is None or box.id == self._id():
            return
        more = box.uidnext - told.uidnext, box.exists - told.exists
        if more == (len(uids), len(uids)) and set(uids) == set(box.modified_since(told.modseq)):
            told.take(box)

    def poll(self, own: Own | None = None) -> list[bytes]:
        """Responses for what changed since the last one, but for `own`."""
        selected = self._id()
        if self._heads == self._now() and self._selected == selected:
            return []
        some = self._of_messages(selected)
        before, self._heads, self._selected = self._heads[0], self._now(), selected
        if some is not None:
            out = list(self._messages(some, selected))
            self._take(some, selected)
            return out
        boxes = self._seen()
        there = {seen.name: Listed(seen.box, self._access) for seen in boxes.values()}
        self._lost |= self._boxes.keys() - boxes.keys()
        self._lost &= {box.id for box in self._account.mailboxes.values()}
        lists = list(self._names(boxes, there, own, before))
        known = {name for name, _ in lists}
        lists += ((name, "") for name in self._subscriptions(there, own) if name not in known)
        out = [self._list(there, name, old) for name, old in lists]
        out += self._annotations(boxes, there, own)
        out += self._messages(boxes, selected)
        self._remember(boxes, selected)
        return out

    def _of_messages(self, selected: int) -> dict[int, _Seen] | None:
        """What changed since the last poll, where it was messages only; an entry that stood still may differ in all."""
        mine, account = self._session.account, self._account
        head, own_head = self._heads
        if self._selected != selected or (account is not mine and mine.changed_since(own_head) is None):
            return None
        changed = account.changed_since(head)
        return None if changed is None else self._seen(changed)

    def _remember(self, boxes: Mapping[int, _Seen], selected: int) -> None:
        for gone in self._boxes.keys() - boxes.keys():
            del self._boxes[gone]
        self._lost -= boxes.keys()
        for number, seen in boxes.items():
            told = self._boxes.setdefault(number, _Told(seen.name, seen.annotations, seen.use))
            told.name = seen.name
            if seen.reads:  # RFC 5465 §5: all events need `r`; what changes without it is told when it is back
                told.annotations, told.use = seen.annotations, seen.use
        self._take(boxes, selected)
        self._subscribed = frozenset(self._session.account.subscriptions)
        self._server = self._account.annotations

    def _take(self, boxes: Mapping[int, _Seen], selected: int) -> None:
        for number, seen in boxes.items():
            if seen.reads and number != selected:
                self._boxes[number].take(seen.box)

    # RFC 5465 §5.4

    def _names(
        self, boxes: Mapping[int, _Seen], there: Mapping[str, Listed], own: Own | None, before: int
    ) -> Iterator[tuple[str, str]]:
        """Names whose mailboxes went, were renamed or came since commit `before`, with the old name of those renamed.

        In this order, a client that moves what it knows along with each name knows in the end what is so.
        """
        went = [told.name for number, told in self._boxes.items() if number not in boxes]
        came = [seen.name for number, seen in boxes.items() if number not in self._boxes]
        near = (name.rpartition(DELIMITER)[0] for name in (*went, *came) if DELIMITER in name)  # direct parents, too
        back = {seen.name for number, seen in boxes.items() if number in self._lost}
        lost = {name for name in self._shut() | back if self.events(name)}  # RFC 5465 §5.9: whatever is told of them
        yield from ((name, "") for name in went if name in lost or self._names_wanted(there, name, own))
        renamed = ((told.name, boxes[number].name) for number, told in self._boxes.items() if number in boxes)
        for old, new in _in_order({old: new for old, new in renamed if old != new}):
            wanted = self.events(old) | self.events(new)
            if "MAILBOXNAME" in wanted and not self._is_own(there, own, "MAILBOXNAME", new):
                yield new, old
        come = dict.fromkeys((*came, *near))
        old_names = self._inbox(boxes, before)
        told = (name for name in come if name in lost or self._names_wanted(there, name, own))
        yield from ((name, old_names.get(name, "")) for name in told)

    def _inbox(self, boxes: Mapping[int, _Seen], before: int) -> dict[str, str]:
        """What INBOX was renamed to: "a new INBOX is assumed to be created", and no name of it is told."""
        shown, known = self._access.shown, {told.name for told in self._boxes.values()}
        renamed = ((seen.name, *seen.box.renamed) for number, seen in boxes.items() if number not in self._boxes)
        return {name: shown + old for name, commit, old in renamed if commit > before and old and shown + old in known}

    def _shut(self) -> set[str]:
        """Names of those that are there, and may be looked up no more since the last poll."""
        return {told.name for number, told in self._boxes.items() if number in self._lost}

    def _names_wanted(self, there: Mapping[str, Listed], name: str, own: Own | None) -> bool:
        if "MAILBOXNAME" not in self.events(name) or self._is_own(there, own, "MAILBOXNAME", name):
            return False
        return own is None or not self._is_above(there, name, own)

    def _is_above(self, there: Mapping[str, Listed], name: str, own: Own) -> bool:
        """The name is above what this client's own command made or deleted: it came along, or has other children."""
        if own.event != "MAILBOXNAME" or not own.name.startswith(name + DELIMITER):
            return False
        return name in there or all(told.name != name for told in self._boxes.values())

    def _is_own(self, there: Mapping[str, Listed], own: Own | None, event: str, name: str) -> bool:
        """Whether the name is as this client's own command left it."""
        if own is None or own.event != event or own.name != name:
            return False
        if event == "SUBSCRIPTIONCHANGE":
            return (name in self._session.account.subscriptions) == own.there
        return (name in there) == own.there

    # RFC 5465 §5.5

    def _subscriptions(self, there: Mapping[str, Listed], own: Own | None) -> Iterator[str]:
        """Of names in this account; the list is the user's own."""
        for name in sorted(self._subscribed ^ self._session.account.subscriptions):
            mine = self.own == is_own(self._session, name) and name.startswith(self._access.shown)
            if not mine or self._is_own(there, own, "SUBSCRIPTIONCHANGE", name):
                continue
            if "SUBSCRIPTIONCHANGE" in self.events(name, subscribed=True):
                yield name

    def _list(self, there: Mapping[str, Listed], name: str, old: str) -> bytes:
        utf8 = self._session.enabled.utf8_names
        attributes = listing.Listing(there, self._session.account.subscriptions, _LIST, utf8).attributes(name)
        if name not in there and name in self._shut():
            attributes.append(b"\\NoAccess")  # RFC 5465 §5.9
        return listing.line(b"LIST", attributes, name, old=old, utf8=utf8)

    # RFC 5465 §5.6 and §5.7; RFC 5464 §4.4.2: names without values

    def _annotations(self, boxes: Mapping[int, _Seen], there: Mapping[str, Listed], own: Own | None) -> Iterator[bytes]:
        if self.own and self._server is not self._account.annotations and self._wants_server():
            yield from self._changes("", changed(self._server, self._account.annotations), own)
        for number, seen in boxes.items():
            told = self._boxes.get(number) or self._came(there, seen, own)
            if not seen.reads or (told.annotations is seen.annotations and told.use == seen.use):
                continue
            entries = changed(told.annotations, seen.annotations)
            entries |= {SPECIAL_USE} if told.use != seen.use else set()
            if "MAILBOXMETADATACHANGE" in self.events(seen.name):
                yield from self._changes(seen.name, entries, own)

    def _came(self, there: Mapping[str, Listed], seen: _Seen, own: Own | None) -> _Told:
        """RFC 5464 §4.1: a mailbox that INBOX was renamed to comes with annotations."""
        mine = self._is_own(there, own, "MAILBOXNAME", seen.name)
        return _Told(seen.name, seen.annotations if mine else {}, seen.use)

    def _wants_server(self) -> bool:
        return any("SERVERMETADATACHANGE" in group.events for group in self._groups)

    def _changes(self, name: str, entries: set[str], own: Own | None) -> Iterator[bytes]:
        mine = own.entries if own is not None and own.name == name else frozenset()
        if told := sorted(entries - mine):
            yield names(name, told, self._session.enabled.utf8_names)

    # RFC 5465 §5.1 to §5.3, of mailboxes that are not selected

    def _messages(self, boxes: Mapping[int, _Seen], selected: int) -> Iterator[bytes]:
        same = all(number in self._boxes and seen.name == self._boxes[number].name for number, seen in boxes.items())
        names = frozenset[str]() if same else {told.name for told in self._boxes.values()}
        for number, seen in boxes.items():
            box = seen.box
            told = self._boxes.get(number) or _Told("", {}, None, modseq=box.highest_modseq)
            counts = (told.uidnext, told.exists) != (box.uidnext, box.exists)
            counts = counts or (seen.name != told.name and seen.name in names)  # what had that name is no more
            if number == selected or not seen.reads or not (counts or told.modseq != box.highest_modseq):
                continue
            wanted = self.events(seen.name)
            # RFC 7162 §3.2: HIGHESTMODSEQ counts annotations too, which are no change of flags
            flags = "FLAGCHANGE" in wanted and (counts or bool(box.modified_since(told.modseq)))
            if (counts and "MESSAGENEW" in wanted) or flags:
                yield self._status(seen, self._items(counts, flags))

    def _items(self, counts: bool, flags: bool) -> Iterator[str]:
        """UIDVALIDITY always: a mailbox may have gone, and another have come under its name."""
        yield from ("MESSAGES", "UIDNEXT") if counts else ()
        yield "UIDVALIDITY"
        yield from ("UNSEEN",) if flags else ()
        yield from ("HIGHESTMODSEQ",) if self._session.enabled.condstore else ()


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


def changed(old: Mapping[str, str], new: Mapping[str, str]) -> set[str]:
    """Names of annotations that came, went or have another value."""
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
