"""Flags as clients name them: RFC 3501 §2.3.2 and §9 flag."""

from __future__ import annotations

import re
from typing import Final

from mailpod.imap.lexer import BadCommand, Cursor

_SYSTEM_FLAGS: Final = {
    flag.upper().encode(): flag for flag in ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")
}
_FLAG: Final = re.compile(rb'\\?[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_USES: Final = {use.lower(): use for use in ("\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash")}
_MAX_FLAGS: Final = 200
_MAX_FLAG_BYTES: Final = 200


def flag_list(cursor: Cursor) -> tuple[str, ...]:
    """`(flag flag …)`, possibly empty."""
    cursor.need(b"(")
    if cursor.take(b")"):
        return ()
    found = flags(cursor)
    cursor.need(b")")
    return found


def flags(cursor: Cursor) -> tuple[str, ...]:
    """One flag or more, each once."""
    found = [_flag(cursor)]
    while cursor.take(b" "):
        found.append(_flag(cursor))
    if len(found) > _MAX_FLAGS:
        raise BadCommand(f"More than {_MAX_FLAGS} flags")
    return tuple(dict.fromkeys(found))


def _flag(cursor: Cursor) -> str:
    flag = cursor.expect(_FLAG, "a flag")
    if len(flag) > _MAX_FLAG_BYTES:
        raise BadCommand(f"Flag is longer than {_MAX_FLAG_BYTES} octets")
    if not flag.startswith(b"\\"):
        return flag.decode("ascii")
    if flag.upper() == b"\\RECENT":
        return "\\Recent"
    system = _SYSTEM_FLAGS.get(flag.upper())
    if system is None:
        raise BadCommand(f"Unknown system flag {flag.decode()}")
    return system


def use_attribute(cursor: Cursor) -> str:
    """`\\Sent` and the like (RFC 6154 §6), in the spelling of the RFC where it is known."""
    word = cursor.expect(_FLAG, "a special use").decode("ascii")
    if not word.startswith("\\"):
        raise cursor.error("expected a special use before here")
    return spelled(word)


def spelled(use: str) -> str:
    """As the RFC writes it, where it is known: case does not matter (RFC 6154 §6)."""
    return _USES.get(use.lower(), use)
