"""A cursor over one command: RFC 3501 §9 words, one method each.

Invariants: no I/O; each octet is looked at a bounded number of times; a method either consumes what it returns or
raises BadCommand. A frame is text segments with one literal between each two; where the last literal has not arrived
(`pending`), reaching it raises Incomplete, so the part before it can be checked before the client is told to go on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from mailpod.errors import MailError
from mailpod.imap import utf7
from mailpod.imap.names import canonical
from mailpod.imap.syntax import SequenceSet

_SPACES: Final = re.compile(rb" +")
_ATOM: Final = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_ASTRING: Final = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]+')
_LIST_ATOM: Final = re.compile(rb'[^\x00-\x20\x7f-\xff(){"\\]+')
_QUOTED: Final = re.compile(rb'"([^"\\\r\n\x00]*(?:\\["\\][^"\\\r\n\x00]*)*)"')
_ESCAPE: Final = re.compile(rb"\\(.)", re.DOTALL)
_NUMBER: Final = re.compile(rb"[0-9]{1,10}(?![0-9])")
_LARGE_NUMBER: Final = re.compile(rb"[0-9]{1,19}(?![0-9])")
_SEQUENCE_SET: Final = re.compile(rb"[0-9:*,]+")
_RANGE: Final = re.compile(rb"(\*|[1-9][0-9]{0,9})(?::(\*|[1-9][0-9]{0,9}))?")
_MAX_NUMBER: Final = 2**32 - 1  # RFC 3501 §9: number is an unsigned 32-bit integer
_MAX_LARGE_NUMBER: Final = 2**63 - 1  # RFC 7162 §7: mod-sequence-value; RFC 9051 §9: number64


class BadCommand(MailError):
    """The command breaks the grammar: `tag BAD text`."""

    imap = ("BAD", None)


class Incomplete(Exception):
    """The cursor stands at a literal that has not arrived yet: a message or a part of one, or any other string.

    `inside` are the parentheses around it, by their names.
    """

    def __init__(self, message: bool, inside: tuple[str, ...]) -> None:
        super().__init__(message)
        self.message = message
        self.inside = inside


@dataclass(slots=True)
class Frame:
    """`len(segments) == len(literals) + 1`, or one more literal is announced and `pending`."""

    segments: list[bytes] = field(default_factory=list)
    literals: list[bytes] = field(default_factory=list)
    pending: bool = False
    messages: int = 0  # literals that are messages, or parts of them
    inside: tuple[str, ...] = ()  # the parentheses around the last one
    utf8: bool = False  # mailbox names, RFC 9051 §5.1; else in modified UTF-7
    tag: bytes = b""  # as soon as it is known
    name: str = ""  # the command's, as soon as it is known


class Cursor:
    __slots__ = ("_frame", "_index", "at", "inside", "line")

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._index = 0
        self.line = frame.segments[0]
        self.at = 0
        self.inside: tuple[str, ...] = ()  # parentheses that a literal may stand in

    def match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """Consumes what `pattern` matches here, if it does."""
        found = pattern.match(self.line, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def expect(self, pattern: re.Pattern[bytes], what: str) -> bytes:
        found = self.match(pattern)
        if found is None:
            raise self.error(f"expected {what}")
        return found[0]

    def error(self, text: str) -> BadCommand:
        octet = self.at + sum(map(len, self._frame.segments[: self._index]))
        return BadCommand(f"Syntax error: {text} at octet {octet}")

    def peek(self) -> bytes:
        """The next octet; b"" at a literal or at the end."""
        return self.line[self.at : self.at + 1]

    def take(self, octet: bytes) -> bool:
        """Consumes `octet` if it is next; of spaces, all that are. RFC 3501 §9 (2) allows one, and none just inside
        parentheses or at the end; more of them can mean nothing else, and clients send them."""
        if octet in b" ()":
            return self._take_spaced(octet)
        if self.peek() != octet:
            return False
        self.at += 1
        return True

    def _take_spaced(self, octet: bytes) -> bool:
        start, after = self.at, self._spaces()
        if octet == b" ":
            taken = after > start and self.line[after : after + 1] != b")" and not self._ends(after)
            self.at = after if taken else start
            return taken
        if octet == b"(":
            if self.peek() != octet:
                return False
            self.at += 1
            self.at = self._spaces()
            return True
        if self.line[after : after + 1] != octet:
            return False
        self.at = after + 1
        return True

    def _spaces(self) -> int:
        """Where the spaces from here on end."""
        found = _SPACES.match(self.line, self.at)
        return found.end() if found else self.at

    def _ends(self, at: int) -> bool:
        """Whether the command ends there: no octet and no literal follows."""
        return at == len(self.line) and self._index == len(self._frame.literals) + self._frame.pending

    def need(self, octet: bytes) -> None:
        if not self.take(octet):
            raise self.error(f'expected "{octet.decode()}"')

    def space(self) -> None:
        line, at = self.line, self.at
        if line[at : at + 1] == b" " and line[at + 1 : at + 2] not in b" )":
            self.at = at + 1  # one, and a word behind it: nearly always
        elif not self.take(b" "):
            raise self.error("expected a space")

    def end(self) -> None:
        """The command must be over."""
        self.at = self._spaces()
        if self.at < len(self.line) or self.at_literal():
            raise self.error("expected the end of the command")

    def atom(self) -> bytes:
        return self.expect(_ATOM, "an atom")

    def word(self) -> str:
        """An atom in upper case: names of commands, items and options."""
        return self.atom().decode("ascii").upper()

    def number(self) -> int:
        value = int(self.expect(_NUMBER, "a number"))
        if value > _MAX_NUMBER:
            raise self.error("number is larger than 4294967295")
        return value

    def large_number(self) -> int:
        """A modseq, or RFC 9051's number64."""
        value = int(self.expect(_LARGE_NUMBER, "a number"))
        if value > _MAX_LARGE_NUMBER:
            raise self.error("number is larger than 9223372036854775807")
        return value

    def string(self) -> bytes:
        """quoted or literal."""
        return self._literal() if self.at_literal() else self._checked(self._quoted())

    def astring(self) -> bytes:
        found = self.match(_ASTRING)
        return found[0] if found else self.string()

    def octets(self) -> bytes:
        """An astring in a charset that is not the cursor's to know; its quoted form too (RFC 3501 §6.4.4)."""
        found = self.match(_ASTRING)
        if found:
            return found[0]
        return self._literal() if self.at_literal() else self._quoted()

    def nstring(self) -> bytes | None:
        if self.line[self.at : self.at + 3].upper() == b"NIL":
            self.at += 3
            return None
        return self.string()

    def text(self) -> str:
        """An astring that people read: user names and passwords. ASCII by RFC 3501, UTF-8 by RFC 9051."""
        try:
            return self.astring().decode("utf-8")
        except UnicodeDecodeError:
            raise self.error("expected UTF-8") from None

    def mailbox(self) -> str:
        return canonical(self._name(self.astring()))

    def pattern(self) -> str:
        """RFC 3501 §9 list-mailbox."""
        found = self.match(_LIST_ATOM)
        return self._name(found[0] if found else self.string())

    def sequence_set(self) -> SequenceSet:
        if self.take(b"$"):
            return SequenceSet((), saved=True)  # RFC 5182 §2.1
        words = self.expect(_SEQUENCE_SET, "a sequence set").split(b",")
        return SequenceSet(tuple(map(self._range, words)))

    def known_set(self) -> SequenceSet:
        """RFC 7162 §7 known-uids and known-sequence-set: without `*`."""
        known = self.sequence_set()
        if known.saved or any(None in pair for pair in known.ranges):
            raise self.error("* and $ are not allowed in the set before here")
        return known

    def message(self) -> bytes:
        """A literal that holds a whole message, for which the session has limits of its own."""
        if not self.at_literal():
            raise self.error("expected a literal")
        return self._literal(message=True)

    def spaced_literals(self) -> list[bytes]:
        """The literals from here on that have come, as long as a space and nothing else stands before each."""
        frame, first = self._frame, self._index
        if not self.at:
            while self._index < len(frame.literals) and self.line == b" ":
                self._index += 1
                self.line = frame.segments[self._index]
        return frame.literals[first : self._index]

    def _range(self, word: bytes) -> tuple[int | None, int | None]:
        found = _RANGE.fullmatch(word)
        if found is None:
            raise self.error("malformed sequence set before here")
        first = self._sequence_number(found[1])
        return first, first if found[2] is None else self._sequence_number(found[2])

    def _sequence_number(self, digits: bytes) -> int | None:
        if digits == b"*":
            return None
        value = int(digits)
        if value > _MAX_NUMBER:
            raise self.error("number is larger than 4294967295")
        return value

    def _name(self, wire: bytes) -> str:
        try:
            return wire.decode("utf-8") if self._frame.utf8 else utf7.decode(wire)
        except ValueError:
            raise BadCommand(f"Mailbox name is not valid {'UTF-8' if self._frame.utf8 else 'modified UTF-7'}") from None

    def _quoted(self) -> bytes:
        found = self.match(_QUOTED)
        if found is None:
            raise self.error("expected a string")
        return _ESCAPE.sub(rb"\1", found[1]) if b"\\" in found[1] else found[1]

    def _checked(self, quoted: bytes) -> bytes:
        """RFC 9755 §3, RFC 9051 §9: 8-bit octets in a quoted string are UTF-8; RFC 3501 clients mean the same."""
        try:
            quoted.decode("utf-8")
        except UnicodeDecodeError:
            raise self.error("a quoted string must be UTF-8") from None
        return quoted

    def at_literal(self) -> bool:
        return self.at == len(self.line) and self._index < len(self._frame.literals) + self._frame.pending

    def _literal(self, message: bool = False) -> bytes:
        if self._index == len(self._frame.literals):
            raise Incomplete(message, self.inside)
        value = self._frame.literals[self._index]
        self._index += 1
        self.line = self._frame.segments[self._index]
        self.at = 0
        return value
