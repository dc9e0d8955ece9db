"""LIST and LSUB (RFC 3501 §6.3.8; RFC 5258, RFC 5819, RFC 6154, RFC 9590), and CREATE with a special use."""

from __future__ import annotations

from typing import Final

from mailpod.imap.grammar_flags import use_attribute
from mailpod.imap.grammar_metadata import list_entries
from mailpod.imap.grammar_status import status_items
from mailpod.imap.lexer import BadCommand, Cursor
from mailpod.imap.names import DELIMITER
from mailpod.imap.syntax import CreateArgs, ListArgs
from mailpod.imap.syntax_metadata import Entries

_SELECTION: Final = frozenset(("SUBSCRIBED", "SPECIAL-USE", "REMOTE", "RECURSIVEMATCH"))
_RETURN: Final = frozenset(("SUBSCRIBED", "SPECIAL-USE", "CHILDREN", "STATUS", "MYRIGHTS", "METADATA"))
_BASE: Final = frozenset(("SUBSCRIBED", "SPECIAL-USE"))
_MAX_PATTERNS: Final = 50
_MAX_USES: Final = 20


def lsub(cursor: Cursor) -> ListArgs:
    cursor.space()
    reference = cursor.mailbox()
    cursor.space()
    return ListArgs(reference, (cursor.pattern(),))


def list_(cursor: Cursor) -> ListArgs:
    """RFC 5258 §3: it is the extended LIST with selection options, several patterns or RETURN."""
    cursor.space()
    selection = returns = frozenset[str]()
    items: tuple[str, ...] = ()
    entries: Entries | None = None
    extended = cursor.peek() == b"("
    if extended:
        selection, _, _ = _options(cursor, _SELECTION)
        cursor.space()
        if "RECURSIVEMATCH" in selection and not selection & _BASE:
            raise BadCommand("RECURSIVEMATCH needs SUBSCRIBED or SPECIAL-USE")  # RFC 5258 §3.1
    reference = cursor.mailbox()
    cursor.space()
    extended = extended or cursor.peek() == b"("
    patterns = _patterns(cursor)
    if cursor.take(b" "):
        extended = True
        if cursor.word() != "RETURN":
            raise cursor.error("expected RETURN before here")
        cursor.space()
        returns, items, entries = _options(cursor, _RETURN)
    return ListArgs(reference, patterns, selection, returns, extended, items, entries)


def _patterns(cursor: Cursor) -> tuple[str, ...]:
    if not cursor.take(b"("):
        return (cursor.pattern(),)
    patterns = [cursor.pattern()]
    while not cursor.take(b")"):
        cursor.space()
        patterns.append(cursor.pattern())
        if len(patterns) > _MAX_PATTERNS:
            raise BadCommand(f"More than {_MAX_PATTERNS} patterns")
    return tuple(patterns)


def _options(cursor: Cursor, known: frozenset[str]) -> tuple[frozenset[str], tuple[str, ...], Entries | None]:
    """The options, and what STATUS and METADATA ask for."""
    found: set[str] = set()
    items: tuple[str, ...] = ()
    entries: Entries | None = None
    cursor.need(b"(")
    while not cursor.take(b")"):
        if found:
            cursor.space()
        option = cursor.word()
        if option not in known:
            raise BadCommand(f"Unknown LIST option {option}")  # RFC 5258 §3: unknown options are BAD
        found.add(option)
        if option == "STATUS":
            cursor.space()
            items = status_items(cursor)  # RFC 5819 §2
        elif option == "METADATA":
            cursor.space()
            entries = list_entries(cursor)  # RFC 9590 §3
    return frozenset(found), items, entries


def create(cursor: Cursor) -> CreateArgs:
    cursor.space()
    # RFC 3501 §6.3.3: a trailing delimiter declares names under this one, and is no part of the name
    name = cursor.mailbox().removesuffix(DELIMITER)
    if not cursor.take(b" "):
        return CreateArgs(name)
    cursor.need(b"(")
    if cursor.word() != "USE":
        raise BadCommand("Unknown CREATE parameter")
    cursor.space()
    cursor.need(b"(")
    uses: list[str] = []
    while not cursor.take(b")"):
        if uses:
            cursor.space()
        uses.append(use_attribute(cursor))
        if len(uses) > _MAX_USES:
            raise BadCommand(f"More than {_MAX_USES} special uses")
    cursor.need(b")")
    return CreateArgs(name, tuple(dict.fromkeys(uses)))
