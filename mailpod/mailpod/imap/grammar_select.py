"""SELECT and EXAMINE with their parameters: RFC 3501 §6.3.1, RFC 4466 §2.1, RFC 7162 §3.1.8 and §3.2.5."""

from __future__ import annotations

from mailpod.imap.lexer import BadCommand, Cursor
from mailpod.imap.syntax import Resync, SelectArgs


def select(cursor: Cursor) -> SelectArgs:
    cursor.space()
    name = cursor.mailbox()
    if not cursor.take(b" "):
        return SelectArgs(name)
    condstore, given = False, set[str]()
    resync = None
    cursor.need(b"(")
    while True:
        parameter = cursor.word()
        if parameter in given:
            raise BadCommand(f"{parameter} may be given once")
        given.add(parameter)
        if parameter == "CONDSTORE":
            condstore = True
        elif parameter == "QRESYNC":
            resync = _resync(cursor)
        else:
            raise BadCommand(f"Unknown SELECT parameter {parameter}")
        if cursor.take(b")"):
            return SelectArgs(name, condstore, resync)
        cursor.space()


def _resync(cursor: Cursor) -> Resync:
    cursor.space()
    cursor.need(b"(")
    uidvalidity = cursor.number()
    cursor.space()
    modseq = cursor.large_number()
    if not (uidvalidity and modseq):
        raise cursor.error("expected numbers above 0 before here")  # RFC 7162 §7: nz-number, mod-sequence-value
    known = numbers = number_uids = None
    while cursor.take(b" "):
        if cursor.take(b"("):
            numbers = cursor.known_set()
            cursor.space()
            number_uids = cursor.known_set()
            cursor.need(b")")
            break
        if known is not None:
            raise cursor.error("expected a list of message numbers and UIDs")
        known = cursor.known_set()
    cursor.need(b")")
    return Resync(uidvalidity, modseq, known, numbers, number_uids)
