"""APPEND: RFC 3501 §6.3.11, of several messages by RFC 3502; REPLACE: RFC 8508."""

from __future__ import annotations

from mailpod.imap.dates import parse_date_time
from mailpod.imap.grammar_flags import flag_list
from mailpod.imap.lexer import BadCommand, Cursor
from mailpod.imap.syntax import AppendArgs, AppendMessage, ReplaceArgs


def append(cursor: Cursor) -> AppendArgs:
    cursor.space()
    name = cursor.mailbox()
    messages = [append_message(cursor)]
    while cursor.peek() == b" ":
        messages.append(append_message(cursor))
    return AppendArgs(name, tuple(messages))


def replace(cursor: Cursor, uid: bool = False) -> ReplaceArgs:
    cursor.space()
    number = None if cursor.take(b"*") else cursor.number()
    if number == 0:
        raise BadCommand("A message number is not zero")  # RFC 8508 §6: seq-number is an nz-number
    cursor.space()
    return ReplaceArgs(number, cursor.mailbox(), append_message(cursor), uid)


def append_message(cursor: Cursor) -> AppendMessage:
    """` [(flags)] ["date"] literal`: RFC 3502 §6.3.11 append-message."""
    cursor.space()
    flags: tuple[str, ...] = ()
    if cursor.peek() == b"(":
        flags = flag_list(cursor)
        cursor.space()
    date, zone = None, 0
    if cursor.peek() == b'"':
        date, zone = _date_time(cursor)
        cursor.space()
    binary = cursor.take(b"~")  # RFC 3516 §4.4: literal8
    data = cursor.message()
    kept = tuple(flag for flag in flags if flag != "\\Recent")  # tools copy what FETCH gave them
    return AppendMessage(kept, date, data, binary, zone)


def _date_time(cursor: Cursor) -> tuple[int, int]:
    try:
        return parse_date_time(cursor.string())
    except ValueError as error:
        raise BadCommand(f"Syntax error: {error}") from None
