"""Commands out of a byte stream: RFC 3501 §2.2.1 lines and literals. Sans-IO.

Invariants: bytes are consumed from the front of the caller's buffer, each looked at a bounded number of times; what is
kept is bounded by `Limits` and by the literals that the caller accepted. After any error the next command is found:
a refused command is skipped to its end, its non-synchronizing literals included (RFC 7888 §4).
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from mailpod.errors import LimitReached, MailError
from mailpod.imap.grammar import GRAMMAR
from mailpod.imap.grammar_append import resume
from mailpod.imap.grammar_metadata import TooLong
from mailpod.imap.lexer import BadCommand, Cursor, Frame, Incomplete
from mailpod.imap.syntax import Command

_TAG: Final = re.compile(rb'([^\x00-\x20\x7f-\xff(){%*"\\+]{1,100})(?: |\Z)')
_LITERAL: Final = re.compile(rb"\{([0-9]{1,20})(\+?)\}\Z")
_MESSAGE: Final = re.compile(rb" \{([0-9]{1,10})\+\}\r?\n")  # one more of an APPEND, with neither flags nor date
_LITERAL_ROOM: Final = 24  # a literal's announcement is no longer
_UNTAGGED: Final = b"*"
_WITH_MESSAGE: Final = ("APPEND", "REPLACE", "UID REPLACE")
_REPEATED: Final = frozenset({"CHECK", "CLOSE", "EXAMINE", "IDLE", "NOOP", "SELECT"})
_REPEATED_OCTETS: Final = 64  # a longer line is not remembered
_REPEATED_LINES: Final = 1024
_MAX_SKIP: Final = 2**30  # a longer literal that the client sends unasked ends the connection


@dataclass(frozen=True, slots=True)
class Limits:
    """What one command may cost: octets and literals, those that are messages left out, and messages (RFC 3502).

    `value`: what SETMETADATA takes, which a value is told that is too long for a command.
    """

    command: int = 65536
    literals: int = 200
    messages: int = 1
    value: int = 16384


class NeedLiteral(NamedTuple):
    """A literal was announced: call accept() or refuse(). `sync`: the client waits for `+`.

    `message`: it is a whole message, APPEND's or REPLACE's.
    """

    tag: bytes
    name: str
    size: int
    sync: bool
    message: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    """The command is over and was not understood, or was refused. `tag` is `*` where there was none."""

    tag: bytes
    error: MailError
    fatal: bool = False  # the stream cannot be followed any more


Event: TypeAlias = Command | NeedLiteral | Rejected


def parse(frame: Frame) -> Command:
    """One command. Raises BadCommand, another MailError that is a NO, or Incomplete."""
    cursor = Cursor(frame)
    tag = cursor.match(_TAG)
    if tag is None:
        raise BadCommand("Expected a tag")
    name = cursor.word()
    if name == "UID":
        cursor.space()
        name = f"UID {cursor.word()}"
    grammar = GRAMMAR.get(name)
    if grammar is None:
        raise BadCommand("Unknown command")
    frame.name = name
    args = grammar(cursor)
    cursor.end()
    return Command(tag[1], name, args)


_understood: dict[tuple[bytes, bool], tuple[str, object]] = {}  # what follows the tag, whether names are in UTF-8


def understand(frame: Frame, tag: bytes) -> Command:
    """As `parse`, of a whole command whose tag is known. What clients say again and again, word for word, is looked up;
    nothing that is secret is."""
    if frame.literals or tag == _UNTAGGED:
        return parse(frame)
    said = frame.segments[0][len(tag) :], frame.utf8
    known = _understood.get(said)
    if known is not None:
        return Command(tag, *known)
    command = parse(frame)
    if command.name in _REPEATED and len(said[0]) <= _REPEATED_OCTETS:
        if len(_understood) >= _REPEATED_LINES:
            del _understood[next(iter(_understood))]
        _understood[said] = command.name, command.args
    return command


class Parser:
    """Feed: call next() with the buffer after every arrival, until it gives None."""

    __slots__ = (
        "_asked",
        "_blank",
        "_frame",
        "_left",
        "_literal",
        "_ready",
        "_refused",
        "_scanned",
        "_used",
        "_wanted",
        "limits",
        "utf8",
    )

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.utf8 = False  # mailbox names
        self._scanned = 0  # octets of the buffer known to hold no line feed
        self._ready: Rejected | None = None
        self._asked: NeedLiteral | None = None
        self._blank = False  # the last line between commands was empty
        self._reset()

    def _reset(self) -> None:
        self._frame: Frame | None = None
        self._wanted = False  # the literal that comes is kept, not skipped
        self._literal: io.BytesIO | None = None  # what came of it, where it does not come whole
        self._left = 0  # octets of it, or to skip, still to come
        self._used = 0  # octets of this command that count against the limit
        self._refused: MailError | None = None  # the command is skipped to its end

    @property
    def idle(self) -> bool:
        """Between two commands."""
        return self._frame is None and self._ready is None and self._refused is None

    @property
    def asked(self) -> bool:
        """A NeedLiteral waits for its answer."""
        return self._asked is not None

    def next(self, buffer: bytearray) -> Event | None:
        """The next event; None when more octets, or an answer to NeedLiteral, are needed."""
        if self._ready is not None:
            event, self._ready = self._ready, None
            return event
        while self._asked is None:
            if self._left:
                if not buffer:
                    return None
                self._take_literal(buffer)
                continue
            line = self._take_line(buffer)
            if line is None:
                return None
            found = self._on_line(line)
            if found is not None:
                return found
        return None

    def line(self, buffer: bytearray) -> bytes | None:
        """One line that is no command: a SASL response, IDLE's DONE. Raises BadCommand when it is too long."""
        line = self._take_line(buffer)
        if self._refused is not None:
            raise self._reject(_UNTAGGED).error
        return line

    def accept(self) -> None:
        """The literal asked about is wanted."""
        asked, self._asked = self._asked, None
        assert asked is not None and self._frame is not None
        self._left = asked.size
        self._wanted = True
        if not self._left:
            self._end_literal(b"")

    def take_messages(self, buffer: bytearray, room: int, largest: int) -> int:
        """Take what next() would, and accept(), of an APPEND's messages behind the one that was just accepted, as long
        as they are there whole with nothing said of them (RFC 3502), none is of more than `largest` octets, and all
        together have no more than `room`. Returns how many octets they have."""
        frame, at = self._frame, self._left
        if frame is None or frame.name != "APPEND" or frame.inside or not 0 < at <= len(buffer):
            return 0
        taken, most = 0, min(self.limits.messages - frame.messages, self.limits.command - self._used - _LITERAL_ROOM)
        with memoryview(buffer) as view:
            found = [bytes(view[:at])]
            while len(found) <= most and (announced := _MESSAGE.match(buffer, at)) is not None:
                size, start = int(announced[1]), announced.end()
                if size > largest or taken + size > room or start + size > len(view):
                    break
                taken, at = taken + size, start + size
                found.append(bytes(view[start:at]))
        del buffer[:at]
        more = len(found) - 1
        frame.literals += found
        frame.segments += [b" "] * more
        frame.messages += more
        self._used += more
        self._left, self._wanted = 0, False
        return taken

    def refuse(self, error: MailError) -> None:
        """The command fails with `error`: at once if the client waits, else when what it sends anyway has come."""
        asked, self._asked = self._asked, None
        assert asked is not None
        self._refused = error
        self._ready = self._skip_literal(asked.tag, asked.size, asked.sync)

    def _take_line(self, buffer: bytearray) -> bytes | None:
        end = buffer.find(b"\n", self._scanned)
        if end < 0:
            if self._used + len(buffer) > self.limits.command:
                self._too_long(buffer)
                del buffer[:-_LITERAL_ROOM]
            self._scanned = len(buffer)
            return None
        # a bare LF ends a line too: clients that send it mean nothing else
        line = bytes(memoryview(buffer)[: end - 1 if buffer[end - 1 : end] == b"\r" else end])
        self._scanned = 0
        if self._used + len(line) > self.limits.command:
            self._too_long(line)
        del buffer[: end + 1]
        return line

    def _too_long(self, start: bytes | bytearray) -> None:
        if self._frame is None:
            self._frame = Frame([bytes(start[:128])])
        if self._refused is None:
            self._refused = BadCommand(f"Command is longer than {self.limits.command} octets")

    def _on_line(self, line: bytes) -> Event | None:
        announced = _LITERAL.search(line, max(0, len(line) - _LITERAL_ROOM))
        if self._refused is None:
            self._add(line[: announced.start()] if announced else line)
        if announced:
            return self._on_literal(int(announced[1]), sync=not announced[2])
        return self._finish()

    def _add(self, segment: bytes) -> None:
        self._frame = self._frame or Frame(utf8=self.utf8)
        self._frame.segments.append(segment)
        self._used += len(segment)

    def _on_literal(self, size: int, sync: bool) -> Event | None:
        tag = self._tag()
        if self._refused is None:
            try:
                self._asked = self._check(tag, size, sync)
                return self._asked
            except MailError as error:
                self._refused = error
        return self._skip_literal(tag, size, sync)

    def _check(self, tag: bytes, size: int, sync: bool) -> NeedLiteral:
        """Refuses as early as it can what would be refused at the end (RFC 3501 §2.2.1)."""
        frame = self._frame
        assert frame is not None
        name, message = self._look(frame)
        if message:
            frame.messages += 1
            if frame.messages > self.limits.messages:
                raise LimitReached(f"One APPEND may have {self.limits.messages} messages or texts")
        elif len(frame.literals) - frame.messages >= self.limits.literals:
            raise BadCommand(f"More than {self.limits.literals} literals")
        else:
            self._used += size
            if self._used > self.limits.command:
                if name == "SETMETADATA" and size > self.limits.value:
                    raise TooLong(self.limits.value)
                raise BadCommand(f"Command is longer than {self.limits.command} octets")
        return NeedLiteral(tag, name, size, sync, message)

    def _look(self, frame: Frame) -> tuple[str, bool]:
        """The command's name, and whether the literal to come is a message. Raises MailError for what is wrong."""
        if frame.messages:
            # RFC 3502: only what follows the last message is new, so that many cost no more than each alone
            found = resume(frame.segments[-1], frame.inside, more=frame.name == "APPEND")
        elif frame.literals and frame.name not in _WITH_MESSAGE:
            return frame.name, False
        else:
            found = self._found(frame)
        frame.inside = found.inside
        return frame.name, found.message

    def _found(self, frame: Frame) -> Incomplete:
        """Where the first literals of a command stand. Raises MailError for what is wrong."""
        frame.pending = True
        try:
            parse(frame)
        except Incomplete as incomplete:
            return incomplete.with_traceback(None)  # whose frames would hold it, and the buffer
        finally:
            frame.pending = False
        raise AssertionError("a command ended before its literal")

    def _skip_literal(self, tag: bytes, size: int, sync: bool) -> Rejected | None:
        if sync:
            return self._reject(tag)
        if size > _MAX_SKIP:
            return Rejected(tag, BadCommand("Literal is too long"), fatal=True)
        self._left = size
        return None

    def _take_literal(self, buffer: bytearray) -> None:
        count = min(self._left, len(buffer))
        with memoryview(buffer) as view:
            if self._wanted:
                self._keep(view[:count])
        del buffer[:count]
        self._left -= count

    def _keep(self, piece: memoryview) -> None:
        if self._literal is not None:
            self._literal.write(piece)
            if len(piece) == self._left:
                self._end_literal(self._literal.getvalue())  # without a copy: BytesIO gives its own buffer
        elif len(piece) == self._left:
            self._end_literal(bytes(piece))
        else:
            self._literal = io.BytesIO()
            self._literal.write(piece)

    def _end_literal(self, whole: bytes) -> None:
        assert self._frame is not None
        self._frame.literals.append(whole)
        self._literal, self._wanted = None, False

    def _tag(self) -> bytes:
        frame = self._frame
        if frame is None:
            return _UNTAGGED
        if not frame.tag:
            found = _TAG.match(frame.segments[0])
            frame.tag = found[1] if found else _UNTAGGED
        return frame.tag

    def _reject(self, tag: bytes) -> Rejected:
        refused = self._refused
        assert refused is not None
        self._reset()
        return Rejected(tag, refused)

    def _finish(self) -> Command | Rejected | None:
        frame, tag = self._frame, self._tag()
        if self._refused is not None:
            return self._reject(tag)
        self._reset()
        empty = frame is None or frame.segments == [b""]
        if empty and not self._blank:
            self._blank = True  # some clients send an empty line after a literal; more than one is nobody's
            return None
        self._blank = empty
        if frame is None or empty:
            return Rejected(_UNTAGGED, BadCommand("Empty line"))
        try:
            return understand(frame, tag)
        except MailError as error:
            return Rejected(tag, error)
