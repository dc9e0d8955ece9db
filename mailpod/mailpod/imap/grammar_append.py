"""APPEND: RFC 3501 §6.3.11, of several messages by RFC 3502, of parts by RFC 4469; REPLACE: RFC 8508."""

from __future__ import annotations

from typing import Final

from mailpod.imap.dates import parse_date_time
from mailpod.imap.grammar_flags import flag_list
from mailpod.imap.lexer import BadCommand, Cursor, Frame, Incomplete
from mailpod.imap.syntax import AppendArgs, AppendMessage, ReplaceArgs, TextPart, UrlPart

_NEXT_MESSAGE: Final = Incomplete(message=True, inside=())  # without flags or date


def append(cursor: Cursor) -> AppendArgs:
    cursor.space()
    name = cursor.mailbox()
    messages = [append_message(cursor)]
    while cursor.peek() == b" ":
        # nearly all that follow have neither flags nor date: not a message at a time
        bare = [AppendMessage((), None, data) for data in cursor.spaced_literals()]
        messages += bare or [append_message(cursor)]
    return AppendArgs(name, tuple(messages))


def resume(segment: bytes, inside: tuple[str, ...], more: bool) -> Incomplete:
    """Where the next literal stands, from what follows one that stood `inside` parentheses; `more`: another message
    may follow. Raises BadCommand."""
    if segment == b" " and more and not inside:
        return _NEXT_MESSAGE
    cursor = Cursor(Frame([segment], pending=True))
    cursor.inside = inside
    try:
        _close_utf8(cursor)
        if cursor.inside:
            _more_parts(cursor)
        if not more:
            raise BadCommand("One message replaces one message")  # RFC 8508 §4.7
        while True:
            append_message(cursor)
    except Incomplete as incomplete:
        return incomplete.with_traceback(None)  # whose frames would hold it, and all that they hold


def replace(cursor: Cursor, uid: bool = False) -> ReplaceArgs:
    cursor.space()
    number = None if cursor.take(b"*") else cursor.number()
    if number == 0:
        raise BadCommand("A message number is not zero")  # RFC 8508 §5: seq-number is an nz-number
    cursor.space()
    return ReplaceArgs(number, cursor.mailbox(), append_message(cursor), uid)


def append_message(cursor: Cursor) -> AppendMessage:
    """` [(flags)] ["date"] literal`: RFC 3502 §6.3.11 append-message, with RFC 4466 §2.7's data."""
    cursor.space()
    if cursor.at_literal():
        return AppendMessage((), None, cursor.message())
    flags: tuple[str, ...] = ()
    if cursor.peek() == b"(":
        flags = flag_list(cursor)
        cursor.space()
    date, zone = None, 0
    if cursor.peek() == b'"':
        date, zone = _date_time(cursor)
        cursor.space()
    kept = tuple(flag for flag in flags if flag != "\\Recent")  # tools copy what FETCH gave them
    if not cursor.peek().isalpha():
        data, binary = _octets(cursor)
        return AppendMessage(kept, date, data, binary, zone)
    extension = cursor.word()  # RFC 4466 §2.7: append-data-ext
    cursor.space()
    if extension == "UTF8":
        data, binary = _utf8(cursor)
        return AppendMessage(kept, date, data, binary, zone)
    if extension == "CATENATE":
        cursor.need(b"(")
        cursor.inside = (extension,)
        return AppendMessage(kept, date, b"", zone=zone, parts=(_part(cursor), *_more_parts(cursor)))
    raise cursor.error("expected a literal, CATENATE or UTF8 before here")


def _octets(cursor: Cursor) -> tuple[bytes, bool]:
    """literal and literal8 (RFC 3516 §4.4): the octets, and whether they may be any."""
    binary = cursor.take(b"~")
    return cursor.message(), binary


def _utf8(cursor: Cursor) -> tuple[bytes, bool]:
    """RFC 6855 §4 utf8-literal; RFC 9755 has a bare literal do."""
    cursor.need(b"(")
    cursor.inside = (*cursor.inside, "UTF8")
    data, binary = _octets(cursor)
    _close_utf8(cursor)
    return data, binary


def _close_utf8(cursor: Cursor) -> None:
    if cursor.inside[-1:] == ("UTF8",):
        cursor.need(b")")
        cursor.inside = cursor.inside[:-1]


def _part(cursor: Cursor) -> TextPart | UrlPart:
    """RFC 4469 §5 cat-part, and RFC 6855 §4's."""
    kind = cursor.word()
    cursor.space()
    if kind == "URL":
        return UrlPart(cursor.astring())
    if kind == "TEXT":
        return TextPart(*_octets(cursor))
    if kind == "UTF8":
        return TextPart(*_utf8(cursor))
    raise cursor.error("expected URL, TEXT or UTF8 before here")


def _more_parts(cursor: Cursor) -> list[TextPart | UrlPart]:
    """The rest of the list."""
    parts = []
    while not cursor.take(b")"):
        cursor.space()
        parts.append(_part(cursor))
    cursor.inside = ()
    return parts


def _date_time(cursor: Cursor) -> tuple[int, int]:
    try:
        return parse_date_time(cursor.string())
    except ValueError as error:
        raise BadCommand(f"Syntax error: {error}") from None
