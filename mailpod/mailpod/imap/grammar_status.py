"""STATUS (RFC 3501 §6.3.10 and its extensions) and QUOTA's commands (RFC 9208 §4.1)."""

from __future__ import annotations

from typing import Final

from mailpod.imap.lexer import BadCommand, Cursor
from mailpod.imap.syntax import MailboxArgs, QuotaArgs, StatusArgs

_ITEMS: Final = frozenset(
    (
        *("MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN"),
        "HIGHESTMODSEQ",  # RFC 7162 §3.1.7
        "SIZE",  # RFC 8438
        "MAILBOXID",  # RFC 8474 §4.3
        "APPENDLIMIT",  # RFC 7889 §3
        *("DELETED", "DELETED-STORAGE"),  # RFC 9208 §4.1.4
    )
)


def status(cursor: Cursor) -> StatusArgs:
    cursor.space()
    name = cursor.mailbox()
    cursor.space()
    return StatusArgs(name, status_items(cursor))


def status_items(cursor: Cursor) -> tuple[str, ...]:
    """`(item item …)`, each once."""
    cursor.need(b"(")
    items = [_item(cursor)]
    while not cursor.take(b")"):
        cursor.space()
        items.append(_item(cursor))
    return tuple(dict.fromkeys(items))


def _item(cursor: Cursor) -> str:
    item = cursor.word()
    if item not in _ITEMS:
        raise BadCommand(f"Unknown STATUS item {item}")
    return item


def get_quota(cursor: Cursor) -> QuotaArgs:
    cursor.space()
    return QuotaArgs(cursor.astring())


def get_quota_root(cursor: Cursor) -> MailboxArgs:
    cursor.space()
    return MailboxArgs(cursor.mailbox())


def set_quota(cursor: Cursor) -> QuotaArgs:
    """RFC 9208 §4.1.3. The limits are read and forgotten: nobody may set them here."""
    args = get_quota(cursor)
    cursor.space()
    cursor.need(b"(")
    first = True
    while not cursor.take(b")"):
        if not first:
            cursor.space()
        first = False
        cursor.atom()
        cursor.space()
        cursor.large_number()
    return args
