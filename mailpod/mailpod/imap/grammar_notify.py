"""NOTIFY (RFC 5465 §8).

§3.1's examples leave out the parentheses around events (erratum 1804): they are read either way.
"""

from __future__ import annotations

import re
from typing import Final

from mailpod.errors import MailError
from mailpod.imap.grammar_fetch import fetch_items
from mailpod.imap.lexer import BadCommand, Cursor
from mailpod.imap.names import DELIMITER
from mailpod.imap.syntax import FetchItem
from mailpod.imap.syntax_notify import EventGroup, NotifyArgs, SelectedEvents

_MESSAGE: Final = ("MessageNew", "MessageExpunge", "FlagChange")
_OTHER: Final = ("MailboxName", "SubscriptionChange", "MailboxMetadataChange", "ServerMetadataChange")
_MESSAGE_EVENTS: Final = frozenset(map(str.upper, _MESSAGE))
_EVENTS: Final = frozenset(map(str.upper, (*_MESSAGE, *_OTHER)))
_SELECTED: Final = ("SELECTED", "SELECTED-DELAYED")
_NAMING: Final = ("SUBTREE", "SUBTREE-ONE", "MAILBOXES")  # RFC 7377 §4 adds the second
_FILTERS: Final = ("INBOXES", "PERSONAL", "SUBSCRIBED", *_NAMING)
_ITEMS: Final = re.compile(rb" *(?=\()")
_MAX_GROUPS: Final = 50
_MAX_NAMES: Final = 500


class BadEvent(MailError):
    """RFC 5465 §3.1: an event that is not supported; the code names all that are."""

    imap = ("NO", f"BADEVENT ({' '.join((*_MESSAGE, *_OTHER))})")
    text = "Unsupported event"


class TooMuch(MailError):
    """RFC 5465 §3.1: too complex or expensive."""

    imap = ("NO", "NOTIFICATIONOVERFLOW")


def notify(cursor: Cursor) -> NotifyArgs:
    cursor.space()
    verb = cursor.word()
    if verb == "NONE":
        return NotifyArgs(none=True)
    if verb != "SET":
        raise BadCommand("Expected SET or NONE")
    cursor.space()
    status = cursor.peek() != b"("
    if status:
        if cursor.word() != "STATUS":
            raise cursor.error("expected STATUS before here")
        cursor.space()
    return _groups(cursor, status)


def _groups(cursor: Cursor, status: bool) -> NotifyArgs:
    chosen: SelectedEvents | None = None
    groups: list[EventGroup] = []
    while True:
        group = _group(cursor)
        if isinstance(group, EventGroup):
            groups.append(group)
        elif chosen is None:
            chosen = group
        else:
            raise BadCommand("The selected mailbox is specified twice")  # RFC 5465 §6.1
        if len(groups) > _MAX_GROUPS:
            raise TooMuch(f"More than {_MAX_GROUPS} event groups")
        if not cursor.take(b" "):
            return NotifyArgs(chosen, tuple(groups), status)


def _group(cursor: Cursor) -> EventGroup | SelectedEvents:
    cursor.need(b"(")
    kind = cursor.word()
    if kind not in _SELECTED and kind not in _FILTERS:
        raise BadCommand(f"Unknown mailboxes {kind}")
    cursor.space()
    names: tuple[str, ...] = ()
    if kind in _NAMING:
        names = _names(cursor)
        cursor.space()
    events, items = _events(cursor)
    _check(kind, events, items)
    if kind in _SELECTED:
        return SelectedEvents(events, kind == "SELECTED-DELAYED", items)
    return EventGroup(kind, names, events)


def _names(cursor: Cursor) -> tuple[str, ...]:
    if not cursor.take(b"("):
        return (_mailbox(cursor),)
    names = [_mailbox(cursor)]
    while not cursor.take(b")"):
        cursor.space()
        names.append(_mailbox(cursor))
        if len(names) > _MAX_NAMES:
            raise TooMuch(f"More than {_MAX_NAMES} mailboxes")
    return tuple(names)


def _mailbox(cursor: Cursor) -> str:
    return cursor.mailbox().removesuffix(DELIMITER)


def _events(cursor: Cursor) -> tuple[frozenset[str], tuple[FetchItem, ...]]:
    """The rest of a group, its `)` included."""
    inner = cursor.take(b"(")
    found: set[str] = set()
    items: tuple[FetchItem, ...] = ()
    while True:
        event = cursor.word()
        if event == "NONE" and not inner and not found:
            cursor.need(b")")
            return frozenset(), ()
        if event not in _EVENTS:
            raise BadEvent
        found.add(event)
        if event == "MESSAGENEW" and cursor.match(_ITEMS):
            items = tuple(dict.fromkeys(fetch_items(cursor)))
        if cursor.take(b")"):
            break
        cursor.space()
    if inner:
        cursor.need(b")")
    return frozenset(found), items


def _check(kind: str, events: frozenset[str], items: tuple[FetchItem, ...]) -> None:
    """RFC 5465 §5 and §6.1."""
    if len(events & {"MESSAGENEW", "MESSAGEEXPUNGE"}) == 1:
        raise BadCommand("MessageNew and MessageExpunge go together")
    if "FLAGCHANGE" in events and "MESSAGENEW" not in events:
        raise BadCommand("FlagChange needs MessageNew and MessageExpunge")
    if kind in _SELECTED and events - _MESSAGE_EVENTS:
        raise BadCommand("Of the selected mailbox only message events can be told")
    if kind not in _SELECTED and items:
        raise BadCommand("Only of the selected mailbox can messages be fetched")  # RFC 5465 §8, message-event
