"""What NOTIFY asked for, of one session (RFC 5465): the selected mailbox by its view, all else by a Watch. No I/O.

Invariants: of the selected mailbox nothing is told that was not asked for, and no EXPUNGE between commands where it is
delayed. New messages that were told by EXISTS are the view's to be fetched, but for those that this client brought.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mailpod.imap.annotations import may_annotate, names, of_mailbox
from mailpod.imap.places import is_own
from mailpod.imap.syntax import Command, CreateArgs, MailboxArgs, RenameArgs
from mailpod.imap.syntax_metadata import SetMetadataArgs
from mailpod.imap.watching import ANNOTATIONS, Own, Watch, changed

if TYPE_CHECKING:
    from mailpod.imap.places import Place
    from mailpod.imap.session import Session
    from mailpod.imap.syntax_notify import EventGroup, SelectedEvents
    from mailpod.imap.view import View
    from mailpod.store import Account


class Notified:
    """`plain`: NOTIFY was not given, and the selected mailbox is told of as ever; only annotations are watched."""

    __slots__ = (
        "_annotated", "_end", "_groups", "_last", "_made", "_places", "_selected", "_subscribed", "_view", "_wanted",
        "plain", "watches",
    )  # fmt: skip

    def __init__(
        self,
        session: Session,
        selected: SelectedEvents | None,
        groups: tuple[EventGroup, ...],
        places: Sequence[Place] = (),
        plain: bool = False,
    ) -> None:
        self.plain = plain
        self._selected = selected
        self._places = [*places]  # of others whose mailboxes are watched: held
        self._subscribed = _of_others(session)
        self._groups = groups + ANNOTATIONS if session.enabled.metadata else groups
        self.watches = [Watch(session, self._groups), *(Watch(session, self._groups, place) for place in places)]
        self._view = session.selected
        self._last = session.selected.last_uid if session.selected is not None else 0
        self._made: set[int] = set()
        self._annotated: tuple[View, dict[str, str]] | None = None  # another's mailbox, as told
        self._remember(session.selected)
        self._end: list[Callable[[], None]] = []
        self._wanted = selected is not None or bool(groups)

    def begin(self, session: Session) -> None:
        """From now on the session is called when something may have changed."""
        if self._wanted:
            self._follow(session, session.account)
        for place in self._places:
            self._keep(session, place)

    def _keep(self, session: Session, place: Place) -> None:
        self._end.append(place.account.release)
        self._follow(session, place.account)
        self._end.append(session.services.registry.add_guest(session, place.owner))

    def _follow(self, session: Session, account: Account) -> None:
        refresh = session.services.settings.imap.idle_refresh_seconds
        self._end += (account.watch(session.news), session.services.followers.follow(account, refresh))

    def missed(self, session: Session) -> set[str]:
        """Others' mailboxes that were subscribed to since `add` was given those before (RFC 5465 §6.4)."""
        if all(group.mailboxes != "SUBSCRIBED" for group in self._groups):
            return set()
        now = _of_others(session)
        self._subscribed &= now
        return now - self._subscribed

    def add(self, session: Session, names: set[str], places: Sequence[Place]) -> None:
        """It owns the hold of `places`, those that these names lead into."""
        self._subscribed |= names
        held = [place.account for place in self._places]
        for place in places:
            if place.account in held:
                place.account.release()
            else:
                self._places.append(place)
                self.watches.append(Watch(session, self._groups, place))
                self._keep(session, place)

    def end(self) -> None:
        """Nobody calls the session any more."""
        while self._end:
            self._end.pop()()

    def add_annotations(self) -> None:
        for watch in self.watches:
            watch.add_annotations()

    def others(self, session: Session, own: Own | None) -> list[bytes]:
        """Of all but the messages of the selected mailbox."""
        out = [line for watch in self.watches for line in watch.poll(own)]
        return out + self._of_selected(session, own) if self.plain else out

    def _of_selected(self, session: Session, own: Own | None) -> list[bytes]:
        """RFC 5464 §4.4, where it is another's: NOTIFY would watch that account."""
        view, told = session.selected, self._annotated
        self._remember(view)
        if view is None or told is None or self._annotated is None or told[0] is not view:
            return []
        mine = own.entries if own is not None and own.name == view.shown else frozenset()
        new = sorted(changed(told[1], self._annotated[1]) - mine)
        return [names(view.shown, new, session.enabled.utf8_names)] if new else []

    def _remember(self, view: View | None) -> None:
        """What changes while it may not be read is told when it is back."""
        if view is None or view.access.who is None:
            self._annotated = None
        elif may_annotate(view.mailbox, view.access):
            self._annotated = view, of_mailbox(view.mailbox, view.access)

    @property
    def at_once(self) -> bool:
        """EXPUNGEs are told between commands, too (RFC 5465 §6.1.1)."""
        return self._selected is not None and not self._selected.delayed

    @property
    def tells_flags(self) -> bool:
        """Those that others change in the selected mailbox."""
        return self.plain or (self._selected is not None and "FLAGCHANGE" in self._selected.events)

    def poll(self, view: View, expunge: bool) -> list[bytes]:
        """Of the selected mailbox."""
        if self.plain:
            return view.poll(expunge)
        if self._selected is None or not self._selected.events:
            return []  # RFC 5465 §3.1
        out = view.poll(expunge, self.tells_flags)
        if view is not self._view:
            self._view = view
        elif self._selected.items:
            new = view.uids[view.first_after(self._last) : view.exists]
            view.fetch_later((uid for uid in new if uid not in self._made), self._selected.items)
        self._last = view.last_uid
        self._made.clear()
        return out

    def made(self, name: str, uids: Sequence[int]) -> None:
        """The client brought these itself: RFC 5465 §5.2 wants no FETCH of them."""
        for watch in self.watches:
            watch.made(name, uids)
        if self._view is not None and self._view.shown == name:
            self._made.update(uids)


def _of_others(session: Session) -> set[str]:
    return {name for name in session.account.subscriptions if not is_own(session, name)}


def own_change(command: Command) -> Own | None:
    """What a command that succeeded changed of names and annotations."""
    match command.name, command.args:
        case "CREATE", CreateArgs(mailbox=name):
            return Own("MAILBOXNAME", name)
        case "DELETE", MailboxArgs(mailbox=name):
            return Own("MAILBOXNAME", name, there=False)
        case "RENAME", RenameArgs(new=name):
            return Own("MAILBOXNAME", name)
        case "SUBSCRIBE", MailboxArgs(mailbox=name):
            return Own("SUBSCRIPTIONCHANGE", name)
        case "UNSUBSCRIBE", MailboxArgs(mailbox=name):
            return Own("SUBSCRIPTIONCHANGE", name, there=False)
        case "SETMETADATA", SetMetadataArgs(mailbox=name, entries=entries):
            return Own("METADATA", name, entries=frozenset(entry for entry, _ in entries))
    return None
