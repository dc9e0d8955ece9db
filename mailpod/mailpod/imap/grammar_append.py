"""APPEND: RFC 3501 §6.3.11, of several messages by RFC 3502; REPLACE: RFC 8508."""

from __future__ import annotations

import re
from typing import Final

from mailpod.imap.dates import parse_date_time
from mailpod.imap.grammar_flags import flag_list
from mailpod.imap.lexer import BadCommand, Cursor, Frame, Incomplete
from mailpod.imap.syntax import AppendArgs, AppendMessage, ReplaceArgs

_UTF8: Final = re.compile(rb"UTF8 \(", re.IGNORECASE)  # RFC 6855 §4; RFC 9755 has a bare literal do


def append(cursor: Cursor) -> AppendArgs:
    cursor.space()
    name = cursor.mailbox()
    messages = [append_message(cursor)]
    while cursor.peek() == b" ":
        messages.append(append_message(cursor))
    return AppendArgs(name, tuple(messages))


def resume(segment: bytes, inside: tuple[str, ...], more: bool) -> Incomplete:
    """Where the next literal stands, from what follows one that stood `inside` parentheses; `more`: another message
    may follow. Raises BadCommand."""
    cursor = Cursor(Frame([segment], pending=True))
    cursor.inside = inside
    try:
        _close(cursor)
        if not more:
            raise BadCommand("One message replaces one message")  # RFC 8508 §3.1
        append_message(cursor)
    except Incomplete as incomplete:
        if incomplete.message:
            return incomplete
    raise BadCommand("Only messages may be literals after the first message")


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
    data, binary = _literal(cursor)
    kept = tuple(flag for flag in flags if flag != "\\Recent")  # tools copy what FETCH gave them
    return AppendMessage(kept, date, data, binary, zone)


def _literal(cursor: Cursor) -> tuple[bytes, bool]:
    """literal, literal8 and utf8-literal: the octets, and whether they may be any."""
    if cursor.match(_UTF8):
        cursor.inside = (*cursor.inside, "UTF8")
    binary = cursor.take(b"~")  # RFC 3516 §4.4: literal8
    data = cursor.message()
    _close(cursor)
    return data, binary


def _close(cursor: Cursor) -> None:
    """The parentheses that end behind a literal."""
    if cursor.inside[-1:] == ("UTF8",):
        cursor.need(b")")
        cursor.inside = cursor.inside[:-1]


def _date_time(cursor: Cursor) -> tuple[int, int]:
    try:
        return parse_date_time(cursor.string())
    except ValueError as error:
        raise BadCommand(f"Syntax error: {error}") from None
