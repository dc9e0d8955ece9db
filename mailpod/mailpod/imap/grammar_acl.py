"""Rights of others (RFC 4314 §7)."""

from __future__ import annotations

from mailpod.imap.lexer import Cursor
from mailpod.imap.syntax import AclArgs


def set_acl(cursor: Cursor) -> AclArgs:
    args = about_somebody(cursor)
    cursor.space()
    return AclArgs(args.mailbox, args.identifier, cursor.text())


def about_somebody(cursor: Cursor) -> AclArgs:
    """DELETEACL and LISTRIGHTS."""
    cursor.space()
    mailbox = cursor.mailbox()
    cursor.space()
    return AclArgs(mailbox, cursor.text())
