"""Which mailboxes are meant: RFC 5465 §6 and §8, RFC 7377 §2.2 and §4; and ESEARCH, which searches in them."""

from __future__ import annotations

from typing import Final

from mailpod.imap.grammar_search import search
from mailpod.imap.lexer import BadCommand, Cursor
from mailpod.imap.names import DELIMITER
from mailpod.imap.syntax_search import SELECTED, MailboxFilter, MultisearchArgs

_PLAIN: Final = frozenset((SELECTED, "INBOXES", "PERSONAL", "SUBSCRIBED"))
_NAMING: Final = frozenset(("SUBTREE", "SUBTREE-ONE", "MAILBOXES"))
_MAX_NAMES: Final = 1000


def esearch(cursor: Cursor) -> MultisearchArgs:
    """RFC 7377 §2.2: without IN it is the selected mailbox that is searched."""
    start = cursor.at
    cursor.space()
    filters: tuple[MailboxFilter, ...] = (MailboxFilter(SELECTED),)
    if cursor.line[cursor.at : cursor.at + 4].upper() == b"IN (":
        cursor.at += 3
        filters = _sources(cursor)
    else:
        cursor.at = start
    return MultisearchArgs(filters, search(cursor, uid=True))


def _sources(cursor: Cursor) -> tuple[MailboxFilter, ...]:
    cursor.need(b"(")
    filters: list[MailboxFilter] = []
    while not cursor.take(b")"):
        if filters:
            cursor.space()
        if filters and cursor.peek() == b"(":
            raise BadCommand("There are no scope options")  # RFC 7377 §4: none is defined
        filters.append(mailbox_filter(cursor))
        if sum(len(each.names) + 1 for each in filters) > _MAX_NAMES:
            raise BadCommand(f"More than {_MAX_NAMES} mailboxes")
    if not filters:
        raise cursor.error("expected mailboxes")
    return tuple(filters)


def mailbox_filter(cursor: Cursor) -> MailboxFilter:
    name = cursor.word()
    if name in _PLAIN:
        return MailboxFilter(name)
    if name not in _NAMING:
        raise BadCommand(f"Unknown mailboxes {name}")
    cursor.space()
    if not cursor.take(b"("):
        return MailboxFilter(name, (_mailbox(cursor),))
    names = [_mailbox(cursor)]
    while not cursor.take(b")"):
        cursor.space()
        names.append(_mailbox(cursor))
        if len(names) > _MAX_NAMES:
            raise BadCommand(f"More than {_MAX_NAMES} mailboxes")
    return MailboxFilter(name, tuple(names))


def _mailbox(cursor: Cursor) -> str:
    return cursor.mailbox().removesuffix(DELIMITER)
