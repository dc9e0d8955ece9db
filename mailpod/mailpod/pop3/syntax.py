"""POP3's commands as values: bytes in, Command out. No I/O, no state.

The one table says in which states a command is allowed and what it takes; nothing else does.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mailpod.errors import MailError

MAX_LINE: Final = 1024
"""Octets of a command with its CRLF. RFC 2449 §4 has 255; passwords in UTF-8 may be longer."""
MAX_SASL_LINE: Final = 12288  # RFC 5034 §4, of RFC 4954
_MAX_NUMBER: Final = 10


class Refused(MailError):
    """A command that is wrong, or not now: -ERR with its text."""


class LineTooLong(MailError):
    """A line beyond its limit; what follows it cannot be told from its rest, so the connection ends."""

    text = "Line is too long"


class State(enum.Enum):
    """RFC 1939 §3. UPDATE is the end of QUIT and has no commands."""

    AUTHORIZATION = "before log-in"
    TRANSACTION = "after log-in"


class Takes(enum.Enum):
    """What follows a command's name."""

    NOTHING = enum.auto()
    TEXT = enum.auto()  # to the end of the line, spaces included (RFC 1939 §7, PASS)
    WORDS = enum.auto()
    NUMBER = enum.auto()
    MAYBE_NUMBER = enum.auto()
    TWO_NUMBERS = enum.auto()


_NUMBERS: Final = {
    Takes.NOTHING: (0, 0),
    Takes.MAYBE_NUMBER: (0, 1),
    Takes.NUMBER: (1, 1),
    Takes.TWO_NUMBERS: (2, 2),
}
"""How many, at least and at most."""


@dataclass(frozen=True, slots=True)
class Rule:
    states: frozenset[State]
    takes: Takes


_BEFORE: Final = frozenset({State.AUTHORIZATION})
_AFTER: Final = frozenset({State.TRANSACTION})

COMMANDS: Final[Mapping[bytes, Rule]] = {
    b"CAPA": Rule(_BEFORE | _AFTER, Takes.NOTHING),
    b"QUIT": Rule(_BEFORE | _AFTER, Takes.NOTHING),
    b"USER": Rule(_BEFORE, Takes.TEXT),
    b"PASS": Rule(_BEFORE, Takes.TEXT),
    b"AUTH": Rule(_BEFORE, Takes.WORDS),
    b"STLS": Rule(_BEFORE, Takes.NOTHING),
    b"STAT": Rule(_AFTER, Takes.NOTHING),
    b"LIST": Rule(_AFTER, Takes.MAYBE_NUMBER),
    b"UIDL": Rule(_AFTER, Takes.MAYBE_NUMBER),
    b"RETR": Rule(_AFTER, Takes.NUMBER),
    b"TOP": Rule(_AFTER, Takes.TWO_NUMBERS),
    b"DELE": Rule(_AFTER, Takes.NUMBER),
    b"RSET": Rule(_AFTER, Takes.NOTHING),
    b"NOOP": Rule(_AFTER, Takes.NOTHING),
}


@dataclass(frozen=True, slots=True)
class Command:
    """A command that is allowed now. Of `text`, `words` and `numbers` one is filled, as the table says."""

    name: str
    text: bytes = b""
    words: tuple[bytes, ...] = ()
    numbers: tuple[int, ...] = ()


def take_line(buffer: bytearray, limit: int) -> bytes | None:
    """Take one line off the front of `buffer`, without its end; None if it is not complete. Raises LineTooLong.

    A bare LF ends a line too: people type POP3 by hand, and a command holds no message.
    """
    end = buffer.find(b"\n", 0, limit)
    if end < 0:
        if len(buffer) >= limit:
            raise LineTooLong
        return None
    line = bytes(buffer[:end])
    del buffer[: end + 1]
    return line.removesuffix(b"\r")


def parse(line: bytes, state: State) -> Command:
    """The command in a line. Raises Refused."""
    word, _, rest = line.partition(b" ")
    rule = COMMANDS.get(name := word.upper())
    if rule is None:
        raise Refused("Unknown command")
    if state not in rule.states:
        raise Refused(f"{name.decode()} is not allowed {state.value}")
    return _with_arguments(name.decode(), rule.takes, rest)


def _with_arguments(name: str, takes: Takes, rest: bytes) -> Command:
    if takes is Takes.TEXT:
        if not rest:
            raise Refused(f"{name} needs an argument")
        return Command(name, text=rest)
    words = tuple(rest.split())
    if takes is Takes.WORDS:
        return Command(name, words=words)
    least, most = _NUMBERS[takes]
    if not least <= len(words) <= most:
        raise Refused(f"{name} takes {least if least == most else 'at most one'} argument{'s' * (most != 1)}")
    return Command(name, numbers=tuple(map(_number, words)))


def _number(word: bytes) -> int:
    if not word.isdigit() or len(word) > _MAX_NUMBER:
        raise Refused("Not a number")
    return int(word)
